"""connection.secured in Python: yields each connection's entity with its passwords filled in (docs/ingestion.md)."""
import json
import os
import sys

import boto3
from botocore.exceptions import ClientError
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from kafka import KafkaConsumer


GONE = ("ResourceNotFoundException", "ParameterNotFound")


class Unresolved(Exception):
    """No value, and the next attempt has none either: skip the record, a newer one of the connection makes up for it."""


def value_of(reference, store):
    if reference.startswith("fernet:"):
        keys = [Fernet(key.strip()) for key in os.environ.get("INGESTION_FERNET_KEY", "").split(",") if key.strip()]
        try:
            text = MultiFernet(keys).decrypt(reference[len("fernet:"):].encode()).decode() if keys else None
        except InvalidToken:
            text = None
        if text is None:
            raise Unresolved("a sealed text that no key of INGESTION_FERNET_KEY opens")
        return value_of(text, store) if text.startswith("secret:") else text
    name, region = reference[len("secret:"):], store.get("region")
    if store["provider"] not in ("aws-secrets-manager", "aws-ssm", "db"):  # db: a reference that a user typed
        raise Unresolved(f"a store that this program does not know: {store['provider']}")
    try:
        if store["provider"] == "aws-ssm":
            return boto3.client("ssm", region).get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        return boto3.client("secretsmanager", region).get_secret_value(SecretId=name)["SecretString"]
    except ClientError as error:
        if error.response["Error"]["Code"] in GONE:
            raise Unresolved(f"{reference} is not in the store") from None
        raise


def fill(data):
    for field in data["secretFields"]:
        at, keys = data["entity"], [key.replace("~1", "/").replace("~0", "~") for key in field["path"].split("/")[1:]]
        for key in keys[:-1]:
            at = at[int(key) if isinstance(at, list) else key]
        at[int(keys[-1]) if isinstance(at, list) else keys[-1]] = value_of(field["reference"], data["store"])
    return data["entity"]


def connections():
    topic, group = (os.environ.get(name) for name in ("TOPIC_SECURED", "KAFKA_GROUP_ID"))
    consumer, newest = KafkaConsumer(topic or "connection.secured", bootstrap_servers=os.environ["KAFKA_BROKERS"].split(","),
                                     group_id=group or "ingestion", enable_auto_commit=False, auto_offset_reset="earliest"), {}
    for record in (each for each in consumer if each.value is not None):
        data = json.loads(record.value)["data"]
        order = (data["generation"], data["revision"])
        if order > newest.get(data["connectionId"], (0, 0)):
            try:
                entity = fill(data)  # any other error (store away) ends the program: at the next start the record comes again
            except Unresolved as problem:
                print(data["name"], "revision", data["revision"], "skipped:", problem, file=sys.stderr, flush=True)
            else:
                yield data, entity
            newest[data["connectionId"]] = order
        consumer.commit()


if __name__ == "__main__":
    for event, entity in connections():
        print(event["name"], "revision", event["revision"], "has", len(event["secretFields"]), "secrets", flush=True)
