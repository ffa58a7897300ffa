"""The errors of Sluice. Every message is one line: what failed, where, and the next action."""


class SluiceError(Exception):
    """Base of all errors that Sluice raises on purpose. A retry without a change does not help."""


class DeclarationError(SluiceError):
    """A declaration is wrong. Its author has to correct it."""


class MissingResource(SluiceError):
    """Something that the stack or an earlier DAG makes does not exist."""


class UnreadableObject(SluiceError):
    """An object of the lake is damaged, or something else or a newer version of Sluice has written it."""


class OutdatedObject(UnreadableObject):
    """An older version of Sluice has written an object of the lake, and this one does not read it."""


class NotEnoughData(MissingResource):
    """There are too few partitions or rows to train, validate and test on."""


class QuotaTooLow(SluiceError):
    """The AWS account may not use as many instances as the declaration needs."""


class ConflictingWrite(SluiceError):
    """Other writers changed the same object at each of a limited number of tries."""


class TrainingFailed(SluiceError):
    """A training job ended without a model, or its model is below the gate."""


class DeploymentFailed(SluiceError):
    """What is live is not what was requested. The endpoint was rolled back to what served before."""


class StepOutgrown(SluiceError):
    """A step needed more memory or time than its runtime has."""


class RunInterrupted(SluiceError):
    """A run elsewhere did not start, or ended early, for a reason that passes by itself. A retry may succeed."""
