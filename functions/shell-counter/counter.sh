#!/bin/sh
# A counter, written from docs/function-contract.md: one HTTP request on standard input, the answer on standard output.
LC_ALL=C
cr=$(printf '\r')

answer() { # status, content type, body
	printf 'HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s' "$1" "$2" "${#3}" "$3"
	exit
}

fail() { # status, code, message
	answer "$1" application/json '{"error":{"code":"'"$2"'","message":"'"$3"'"}}'
}

length=0
while IFS=' ' read -r name value; do
	name=${name%"$cr"} value=${value%"$cr"}
	case $name in
	'') break ;; # the empty line after the headers
	[Cc][Oo][Nn][Tt][Ee][Nn][Tt]-[Ll][Ee][Nn][Gg][Tt][Hh]:) length=$value ;;
	[Cc][Ee]-[Ss][Uu][Bb][Jj][Ee][Cc][Tt]:) method=$value ;;
	esac
done
call=$(dd bs=1 count="$length" 2>/dev/null)

# A call is compact JSON with its fields in a fixed order; values that are UTF-8 are "text".
count=$(printf '%s' "$call" | sed -n 's/.*"entries":{"count":{"text":"\([0-9]*\)".*/\1/p')
count=${count:-0}

case $method in
get) answer '200 OK' application/json "{\"count\":$count}" ;;
add) ;;
*) fail '404 Not Found' NO_FUNCTION 'no such method' ;;
esac

by=1
case $call in
*'"payload":{'*) # like {"by": 1}, whose quotes are escaped in a JSON string
	by=$(printf '%s' "$call" |
		sed -n 's/.*"payload":{"text":" *{ *\\"by\\" *: *\(-\{0,1\}[1-9][0-9]\{0,8\}\) *} *"}.*/\1/p')
	[ -n "$by" ] || fail '400 Bad Request' INVALID_ARGUMENT 'the payload is not like {by: 1}'
	;;
esac
count=$((count + by))
[ "$count" -ge 0 ] || fail '409 Conflict' CONFLICT 'the count cannot go below zero'

answer '200 OK' application/vnd.oaas.reply+json \
	"{\"payload\":{\"json\":{\"count\":$count}},\"set\":{\"count\":{\"text\":\"$count\"}}}"
