"""cfn-telephony: phone numbers and sender IDs as CloudFormation resources."""
