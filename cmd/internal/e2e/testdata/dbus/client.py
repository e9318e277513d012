"""A client of tokend on D-Bus that is not tokend's own: dbus-python.

  client.py call PATH INTERFACE METHOD SIGNATURE ARGUMENTS      (ARGUMENTS is JSON)
  client.py errors N PATHS CALL...      (PATHS is JSON, each CALL a list of the same four)
  client.py listen

The bus is DBUS_ADDRESS. call prints the answer, or "NAME: message" and fails.
errors makes each call at each path N times, by turns of the paths, and prints as
JSON what each answered and how long it took. listen
subscribes, and prints whatever reaches it, matched or eavesdropped, until it is ended.
"""
import json
import os
import sys
import time

import dbus

NAME = "io.github.tokenbridge.Tokend1"


def typed(signature, value):
    if signature == "a{sv}":
        return dbus.Dictionary(value, signature="sv")
    if signature == "u":
        return dbus.UInt32(value)
    return value


def arguments(signature, text):
    types = list(dbus.Signature(signature))
    return [typed(str(t), v) for t, v in zip(types, json.loads(text), strict=True)]


def plain(value):
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dbus.Boolean):
        return bool(value)
    if isinstance(value, int):
        return int(value)
    return str(value)


def main():
    bus = dbus.bus.BusConnection(os.environ["DBUS_ADDRESS"])
    mode, rest = sys.argv[1], sys.argv[2:]
    if mode == "call":
        path, interface, method, signature, text = rest
        try:
            answer = bus.call_blocking(NAME, path, interface, method, signature, arguments(signature, text), timeout=120)
        except dbus.DBusException as e:
            print(f"{e.get_dbus_name()}: {e.get_dbus_message()}", file=sys.stderr)
            sys.exit(1)
        print(json.dumps(plain(answer)))
    elif mode == "errors":
        told = []
        for interface, method, signature, text in map(json.loads, rest[2:]):
            args = arguments(signature, text)
            one = {path: {"answers": [], "seconds": []} for path in json.loads(rest[1])}
            for _ in range(int(rest[0])):
                for path, t in one.items():
                    begin = time.perf_counter()
                    try:
                        bus.call_blocking(NAME, path, interface, method, signature, args, timeout=60)
                        answer = "no error"
                    except dbus.DBusException as e:
                        answer = f"{e.get_dbus_name()}: {e.get_dbus_message()} {e.args!r}"
                    t["seconds"].append(time.perf_counter() - begin)
                    if answer not in t["answers"]:
                        t["answers"].append(answer)
            told.append(one)
        print(json.dumps(told))
    elif mode == "listen":
        listen()
    else:
        sys.exit(2)


def listen():
    from dbus.mainloop.glib import DBusGMainLoop
    from gi.repository import GLib

    bus = dbus.bus.BusConnection(os.environ["DBUS_ADDRESS"], mainloop=DBusGMainLoop())

    def seen(_, message):
        if message.get_sender() != "org.freedesktop.DBus":
            print("seen", message.get_type(), message.get_member(), message.get_path(), plain(message.get_args_list()), flush=True)

    bus.add_message_filter(seen)
    for rule in ("type='signal'", "eavesdrop='true',type='signal'", "eavesdrop='true'"):
        try:
            bus.add_match_string(rule)
        except dbus.DBusException as e:
            print("refused", rule, e.get_dbus_name(), flush=True)
    bus.call_blocking(NAME, "/io/github/tokenbridge/Tokend1", NAME + ".Manager", "Subscribe", "", ())
    print("listening", flush=True)
    GLib.MainLoop().run()


main()
