# Processes of doorward, with the real BlueZ between them: hci0 is at the door, hci1 is the phone.
#
#   ble_lab.sh parts|house DOORWARD FOLDER [PORT]
#
# parts: an issuer, a lock and guests, each with a data folder in FOLDER that has its keys, and a Mosquitto at PORT.
# house: a house in FOLDER/house that is both issuer and lock, and a guest who has nothing but an invite.
# FOLDER/strike opens the door.
set -u
doorward=$2 folder=$3
cd "$folder"

fail() { echo "$*"; tail -n 30 -- *.log; exit 1; }
# counts WHO WORDS: how often its log has them.
counts() { grep -c -- "$2" "$1.log"; }
# says WHO WORDS [TIMES]: waits until its log has them so often.
says() {
    for _ in $(seq 300); do [ "$(counts "$1" "$2")" -ge "${3:-1}" ] && return; sleep 0.2; done
    fail "$1 never said “$2” ${3:-1} times"
}
# opened TIMES: waits until the door has been opened so often.
opened() {
    for _ in $(seq 300); do [ "$(cat opened 2>/dev/null | wc -l)" -ge "$1" ] && break; sleep 0.2; done
    [ "$(cat opened 2>/dev/null | wc -l)" -eq "$1" ] || fail "the door was not opened $1 times: $(cat opened)"
    echo "opened $1"
}
# run WHO ARGUMENTS…: starts it with its data folder.
run() { "$doorward" --data "$folder/${1%_*}" "${@:2}" >"$1.log" 2>&1 & }
bluetoothd_again() { bluetoothd --nodetach --experimental --configfile /run/bluetooth.conf >bluetoothd.log 2>&1 & }

parts() {
    export MQTT_BROKER=127.0.0.1:$1 LOCK_ID=front
    mosquitto -c mosquitto.conf >mosquitto.log 2>&1 &
    run issuer ble issuer --radio bluez:hci0
    run lock ble lock --radio bluez:hci0 --rssi-unknown --command "$folder/strike"
    says issuer 'the issuer advertises'
    says issuer 'connected to the MQTT broker'
    says lock 'connected to the MQTT broker'

    run anna_1 ble guest --radio bluez:hci1 --client-id anna
    local guest=$!
    says anna_1 'Showing token 1 '
    opened 1

    kill -9 "$(pidof bluetoothd)"
    says anna_1 'adapter is gone'
    says lock 'hears nobody'
    bluetoothd_again
    says issuer 'the issuer advertises' 2
    # The same session goes on after it.
    says anna_1 'Showing token' $(($(counts anna_1 'Showing token') + 1))
    kill "$guest"

    run anna_2 ble guest --radio bluez:hci1 --client-id anna
    guest=$!
    says anna_2 'Showing token 1 '
    opened 2
    kill "$guest"

    run anna_3 ble guest --radio bluez:hci1 --client-id anna --open --yes
    says anna_3 'The lock says that it opened'
    opened 3
}

# the WORD: it is in the answer of doorward, as JSON.
the() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }
house() { "$doorward" --data "$folder/house" --json "$@" || fail "doorward $*"; }

a_house() {
    run house serve
    says house 'the issuer advertises'
    house person add Anna --role guest >/dev/null
    local grant invite guest
    grant=$(house person grant Anna --door front | the id)
    invite=$(house person invite-phone Anna)

    run anna_1 ble guest --radio bluez:hci1 --lock front --invite "$(the invite <<<"$invite")" --issuer "$(the issuer <<<"$invite")"
    guest=$!
    says anna_1 'Showing token 1 '
    opened 1
    kill "$guest"

    kill -9 "$(pidof bluetoothd)"
    says house 'hears nobody'
    bluetoothd_again
    says house 'the issuer advertises' 2

    run anna_2 ble guest --radio bluez:hci1 --lock front
    guest=$!
    says anna_2 'Showing token 1 '
    opened 2
    kill "$guest"

    house person ungrant "$grant" >/dev/null
    run anna_3 ble guest --radio bluez:hci1 --lock front
    says anna_3 'no_grant'
    opened 2
    house events --door front | grep -q '"Anna"' || fail 'nobody knows who came'
}

case $1 in
    parts) parts "$4" ;;
    house) a_house ;;
esac
echo done
