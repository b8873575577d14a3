"""Signs a body as a sender would who uses one of the published libraries.

    sign.py standardwebhooks|svix|stripe SECRET BODY

Prints the headers as one JSON object. Needs what requirements.txt names.
"""

import datetime
import json
import sys


def standard(library, secret, body, names):
    now = datetime.datetime.now(tz=datetime.timezone.utc)
    signature = library.Webhook(secret).sign("msg_from_python", now, body)
    return {
        f"{names}-id": "msg_from_python",
        f"{names}-timestamp": str(int(now.timestamp())),
        f"{names}-signature": signature,
    }


def main(library, secret, body):
    if library == "standardwebhooks":
        import standardwebhooks

        return standard(standardwebhooks, secret, body, "webhook")
    if library == "svix":
        import svix.webhooks

        return standard(svix.webhooks, secret, body, "svix")
    if library == "stripe":
        import stripe

        signed = stripe.WebhookSignature.generate_signature_header(body, secret)
        return {"stripe-signature": signed}
    raise SystemExit(f"unknown library {library}")


print(json.dumps(main(*sys.argv[1:])))
