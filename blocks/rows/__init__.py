"""Tables that people bring: rows read from files of many forms, and prompts made from them by safe templates."""
