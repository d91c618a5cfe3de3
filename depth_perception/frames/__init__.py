"""Frame sets and results: the assembler, what a frame set becomes, and the messages of a result."""
