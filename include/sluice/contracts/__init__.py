"""What a contract makes of a JSON body: checked members, in columns whose types the contract alone decides."""
