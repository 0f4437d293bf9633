"""The command line: one file per noun in `commands/`, imported only when it runs.

Results go to standard output, progress and questions to standard error; exit codes come from the error tree.
"""
