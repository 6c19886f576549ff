"""The same work on Sentinova, on bare OpenVINO and on its peers, in one run: `make bench`.

`cli` reads flags, `bench` starts and stops everything, `parts` measure, `report` writes. Nothing outside knows this
package; it starts the server as a user does, and knows of its code only the tokenizer and the API's messages.
"""
