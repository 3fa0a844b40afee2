"""Secrets of many kinds, made up when they are needed: none of them stands in this repository."""

from __future__ import annotations

import base64
import json
import random
import string

LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def plant_secrets(seed: int = 7) -> dict[str, str]:
    """Return a line of code with a secret for each kind."""
    chance = random.Random(seed)

    def some(count: int, alphabet: str = LETTERS) -> str:
        return "".join(chance.choice(alphabet) for _ in range(count))

    def encoded(content: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    upper = string.ascii_uppercase + string.digits
    jwt = f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{encoded({'sub': '1234567890', 'n': 1})}.{some(43)}"
    return {
        "aws key id": 'client = connect("AK' + f'IA{some(16, upper)}")',
        "aws secret": f'aws_secret_access_key = "{some(40)}"',
        "aws secret in a config": f"aws_secret_access_key={some(40)}",
        "anthropic": f"key = 'sk-ant-api03-{some(90)}'",
        "openai": f"openai.api_key = 'sk-{some(20)}T3BlbkFJ{some(20)}'",
        "openai project": f"OpenAI(api_key='sk-proj-{some(60)}')",
        "hugging face": f"login(token='hf_{some(34)}')",
        "github": f"# ghp_{some(36)}",
        "github fine-grained": f"git clone with github_pat_{some(22)}_{some(59)}",
        "gitlab": f"GITLAB = 'glpat-{some(20)}'",
        "google": "maps = Client(key='AI" + f"za{some(35)}')",
        "google client": f'"client_secret": "GOCSPX-{some(28)}"',
        "slack": f"SlackClient('xoxb-{some(12, string.digits)}-{some(12, string.digits)}-{some(24)}')",
        "slack webhook": f"https://hooks.slack.com/services/T{some(8, upper)}/B{some(8, upper)}/{some(24)}",
        "discord webhook": f"url = 'https://discord.com/api/webhooks/{some(18, string.digits)}/{some(68)}'",
        "stripe": f"stripe.api_key = 'sk_live_{some(24)}'",
        "npm": f"//registry/:_authToken=npm_{some(36)}",
        "pypi": f"twine upload -p pypi-AgEIcHlwaS5vcmc{some(60)}",
        "sendgrid": f"SendGrid('SG.{some(22)}.{some(43)}')",
        "digitalocean": f"token = 'dop_v1_{some(64, HEX)}'",
        "databricks": f"dapi{some(32, HEX)}",
        "shopify": f"shop('shpat_{some(32, HEX)}')",
        "private key": "-----BEGIN RSA PRIVATE KEY-----",
        "openssh key": "key = '''-----BEGIN OPENSSH PRIVATE KEY-----",
        "jwt": f"headers = {{'x': '{jwt}'}}",
        "bearer": f"curl -H 'Authorization: Bearer {some(40)}'",
        "database address": f"create_engine('postgresql://admin:{some(12)}@db.example.com/prod')",
        "azure storage": f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={some(86)}==",
        "twilio": f"Client('AC{some(32, HEX)}', auth)",
        "mailchimp": f"mailchimp = '{some(32, HEX)}-us12'",
        "password": f"password = 'correct-horse-{some(6)}'",
        "password in an environment file": f"DB_PASSWORD={some(18)}",
        "api key in json": f'"api_key": "{some(32)}"',
        "hex key": f"KEY = '{some(64, HEX)}'",
        "base64 key": f"KEY = '{some(44)}'",
        "vault": f"VAULT_TOKEN=hvs.{some(90)}",
        "age": f"AGE-SECRET-KEY-1{some(58, upper)}",
    }
