"""The custom resource protocol: requests from CloudFormation, responses to it, and reads of its stacks.

It does not know resource types, purchases or retries of an operation.
"""
