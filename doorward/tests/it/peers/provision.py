"""What the script of the original provisioning guide does, written anew from its description: it reads a device's identifier from
its serial line (or is told it), asks the provisioning server for credentials, and posts them to the device's portal."""

import argparse
import json
import os
import re
import select
import sys
import termios
import time
import tty
import urllib.error
import urllib.parse
import urllib.request

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def read_device_id(port, patience=30):
    """The identifier that a device prints when it starts: twelve digits, as the guide's pattern wants them."""
    line = os.open(port, os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(line, termios.TCSANOW)
        said, until = b"", time.monotonic() + patience
        while time.monotonic() < until:
            if select.select([line], [], [], 0.2)[0]:
                said += os.read(line, 256)
            found = re.search(rb"Device ID: ([0-9A-F]{12})", said)
            if found:
                return found.group(1).decode()
    finally:
        os.close(line)
    return None


def provision(server, token, device_id):
    """What the server gives a device."""
    request = urllib.request.Request(f"{server}/provision/{device_id}", method="POST", headers={"Authorization": f"Bearer {token}"})
    with DIRECT.open(request, timeout=10) as answer:
        return json.load(answer)


def configure(portal, told, ssid, password):
    """Fills in the form at the device's access point."""
    form = {
        "ssid": ssid,
        "password": password,
        "mqtt_host": told["mqtt_host"],
        "mqtt_user": told["mqtt_user"],
        "mqtt_pass": told["mqtt_password"],
    }
    with DIRECT.open(f"{portal}/save", urllib.parse.urlencode(form).encode(), timeout=5) as answer:
        return answer.status == 200


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--portal", required=True)
    parser.add_argument("--device-id")
    parser.add_argument("--port")
    parser.add_argument("--wifi-ssid", required=True)
    parser.add_argument("--wifi-password", required=True)
    wish = parser.parse_args()
    device_id = wish.device_id or (wish.port and read_device_id(wish.port))
    if not device_id:
        sys.exit("no device ID")
    try:
        told = provision(wish.server, wish.token, device_id)
    except urllib.error.HTTPError as error:
        sys.exit(f"{error.code}: {error.read().decode()}")
    # The guide's script reads these by name, and the date by its shape.
    time.strptime(told["provision_date"], "%Y-%m-%d %H:%M:%S")
    if not configure(wish.portal, told, wish.wifi_ssid, wish.wifi_password):
        sys.exit("the portal took nothing")
    print(json.dumps({key: told[key] for key in ("device_id", "mqtt_user", "mqtt_host", "mqtt_port")}))


if __name__ == "__main__":
    main()
