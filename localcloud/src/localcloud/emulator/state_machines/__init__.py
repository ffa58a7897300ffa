"""State machines whose definitions are checked, whose executions can be started again, and that end when stopped.

Restores: a definition that can't work is refused; StartExecution with the same name and input returns the execution
that runs; what a stopped execution still does changes nothing; a notification is published as by any other client. The
released emulator accepts any definition, and fails an execution that was stopped while a task failed. It interprets
executions, and this package leaves that to it. ``definitions`` has the rules, ``operations`` answers requests,
``executions`` patches the interpreter, ``stacks`` the resources of templates.

Source: Amazon States Language (https://states-language.net/spec.html); AWS Step Functions API reference,
StartExecution, CreateStateMachine and ValidateStateMachineDefinition.
"""
