"""A sweep: many command lines of fmbench, described in one file, run one by one, and kept in one store.

It lives in this room because it measures nothing: it starts commands as a user would, reads their logs, and fills a
store. What a command line amounts to is asked of the command itself, by name (the entry points fmbench.checks).
"""
