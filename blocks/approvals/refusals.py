"""Why an answer is not counted."""

from blocks.errors import Conflict, NotAllowed


class ApprovalClosed(Conflict):
    """It is decided already, or its time is up."""

    code = "APPROVAL_CLOSED"
    exit_code = 3


class VotedAlready(Conflict):
    """The same person has said the same before."""

    code = "VOTED_ALREADY"
    exit_code = 3


class OtherArguments(Conflict):
    """The answer means arguments that are not on the table."""

    code = "OTHER_ARGUMENTS"
    exit_code = 3


class OwnRequest(NotAllowed):
    """Who asks may not answer."""

    code = "OWN_REQUEST"


class Unauthenticated(NotAllowed):
    """For this risk it must be certain who answers."""

    code = "UNAUTHENTICATED_ANSWER"


class Forged(NotAllowed):
    """What lies in the store was not written by us."""

    code = "FORGED"
