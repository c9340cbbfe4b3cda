"""Where the report of operations has its facts from: every part of C500 that keeps some, each by its own listing."""
