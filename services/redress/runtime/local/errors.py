"""What the local stack tells its user when it cannot do as asked."""


class StackError(Exception):
    """Expected: shown without a stack trace. The first line says what is wrong; a log's tail may follow."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
