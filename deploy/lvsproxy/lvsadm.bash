# Completion of lvsadm for bash: copy to /usr/share/bash-completion/completions/lvsadm
_lvsadm() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	case $before in
	-s | --scheduler) COMPREPLY=($(compgen -W "rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos" -- "$word")) ;;
	-b | --sched-flags) COMPREPLY=($(compgen -W "sh-fallback sh-port mh-fallback mh-port" -- "$word")) ;;
	-t | -u | --tcp-service | --udp-service) _lvsadm_args 3 ;;
	-r | --real-server) _lvsadm_args 5 ;;
	--tun-type) COMPREPLY=($(compgen -W "ipip gue gre" -- "$word")) ;;
	--admin) COMPREPLY=($(compgen -f -- "$word")) ;;
	*) COMPREPLY=($(compgen -W "watch --admin --json --add-service --edit-service --delete-service --clear --restore --save
		--add-server --edit-server --delete-server --list --zero --set --version --help --tcp-service --udp-service
		--sctp-service --fwmark-service --ipv6 --scheduler --sched-flags --persistent --netmask --ops --real-server
		--gatewaying --ipip --masquerading --weight --u-threshold --l-threshold --tun-type --tun-port --tun-nocsum --tun-csum
		--tun-remcsum --numeric --connection --timeout --daemon --stats --rate --exact --thresholds --persistent-conn
		--tun-info --nosort" -- "$word")) ;;
	esac
}

# _lvsadm_args N: the Nth words of the saved table's lines: services are third, real servers fifth.
_lvsadm_args() {
	COMPREPLY=($(compgen -W "$(lvsadm -S -n 2>/dev/null | awk -v n="$1" '$1 == "-A" && n == 3 || $1 == "-a" && n == 5 { print $n }')" -- "$word"))
	[[ $word == *:* ]] && declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions "$word"
	return 0
}

complete -F _lvsadm lvsadm
