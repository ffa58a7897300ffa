"""What can go wrong, by who can mend it. Every message is one line: what, where, and the next action."""


class SluiceError(Exception):
    """Base of all errors that Sluice raises on purpose. Trying again without a change does not help."""


class DeclarationError(SluiceError):
    """A pipeline is declared wrongly: its author mends the declaration."""


class MissingResource(SluiceError):
    """Something that the template provisions, or an earlier DAG makes, is not there."""


class NotEnoughData(MissingResource):
    """There are too few partitions or rows to train, validate and test on; more of them mend it."""


class ConflictingWrite(SluiceError):
    """Another writer kept changing the same manifest for longer than the bounded number of tries."""


class TrainingFailed(SluiceError):
    """A training job ended without a model, or its model is below the gate."""


class DeploymentFailed(SluiceError):
    """What is live is not what was asked for; the endpoint was put back to what served before."""
