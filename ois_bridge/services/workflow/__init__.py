"""Processes, tasks, guards, assignment: the flow of work through the department."""
