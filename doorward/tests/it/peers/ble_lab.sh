# An issuer and a lock at hci0 and guests at hci1, each a process of doorward, with the real BlueZ between them.
#
#   ble_lab.sh DOORWARD FOLDER PORT
#
# FOLDER has a data folder for each of them with its keys, the configuration of a Mosquitto at PORT, and strike, which opens the door.
set -u
doorward=$1 folder=$2
export MQTT_BROKER=127.0.0.1:$3 LOCK_ID=front
cd "$folder"

fail() { echo "$*"; tail -n 30 -- *.log; exit 1; }
# says WHO WORDS: waits until its log has them.
says() {
    for _ in $(seq 300); do grep -q -- "$2" "$1.log" && return; sleep 0.2; done
    fail "$1 never said “$2”"
}
# opened TIMES: waits until the door has been opened so often.
opened() {
    for _ in $(seq 300); do [ "$(cat opened 2>/dev/null | wc -l)" -ge "$1" ] && break; sleep 0.2; done
    [ "$(cat opened 2>/dev/null | wc -l)" -eq "$1" ] || fail "the door was not opened $1 times: $(cat opened)"
    echo "opened $1"
}
# run WHO ARGUMENTS…: starts it with its data folder.
run() { "$doorward" --data "$folder/${1%_*}" ble "${@:2}" >"$1.log" 2>&1 & }

mosquitto -c mosquitto.conf >mosquitto.log 2>&1 &
run issuer issuer --radio bluez:hci0
run lock lock --radio bluez:hci0 --rssi-unknown --command "$folder/strike"
says issuer 'the issuer advertises'
says issuer 'connected to the MQTT broker'
says lock 'connected to the MQTT broker'

run anna_1 guest --radio bluez:hci1 --client-id anna
guest=$!
says anna_1 'Showing token 1 '
opened 1

kill -9 "$(pidof bluetoothd)"
says anna_1 'adapter is gone'
says lock 'hears nobody'
bluetoothd --nodetach --experimental --configfile /run/bluetooth.conf >bluetoothd.log 2>&1 &
for _ in $(seq 300); do [ "$(grep -c 'the issuer advertises' issuer.log)" -ge 2 ] && break; sleep 0.2; done
# The same session goes on after it.
tokens=$(grep -c 'Showing token' anna_1.log)
for _ in $(seq 300); do [ "$(grep -c 'Showing token' anna_1.log)" -gt "$tokens" ] && break; sleep 0.2; done
[ "$(grep -c 'Showing token' anna_1.log)" -gt "$tokens" ] || fail 'no token after bluetoothd came back'
kill "$guest"

run anna_2 guest --radio bluez:hci1 --client-id anna
guest=$!
says anna_2 'Showing token 1 '
opened 2
kill "$guest"

run anna_3 guest --radio bluez:hci1 --client-id anna --open --yes
says anna_3 'The lock says that it opened'
opened 3
echo done
