"""What runs a model: files, OpenVINO, tokenizer, golden values. Knows no request."""
