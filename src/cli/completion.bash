# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Completion of the drover command for bash.

# What follows `drover run`'s own options is another command, with its own completion.
_drover_run() {
	local word=$1 i
	for ((i = 2; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--gpus | --mode | --setting | --icd) ((i++)) ;;
		--) ((i++)); break ;;
		-*) ;;
		*) break ;;
		esac
	done
	if ((i <= COMP_CWORD)) && [ "${COMP_WORDS[COMP_CWORD - 1]}" = -- ] || ((i < COMP_CWORD)); then
		_command_offset "$i" 2>/dev/null
		return
	fi
	case ${COMP_WORDS[COMP_CWORD - 1]} in
	--mode) mapfile -t COMPREPLY < <(compgen -W "auto native virtual" -- "$word") ;;
	--icd) mapfile -t COMPREPLY < <(compgen -f -X '!*.json' -- "$word") ;;
	*)
		case $word in
		-*) mapfile -t COMPREPLY < <(compgen -W "--gpus --mode --setting --icd --keep-drivers --dry-run --help" -- "$word") ;;
		*) mapfile -t COMPREPLY < <(compgen -c -- "$word") ;;
		esac
		;;
	esac
}

_drover() {
	local word=${COMP_WORDS[COMP_CWORD]}
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "info run top --help --version" -- "$word")
		return
	fi
	case ${COMP_WORDS[1]} in
	info) mapfile -t COMPREPLY < <(compgen -W "--json --help" -- "$word") ;;
	top) mapfile -t COMPREPLY < <(compgen -W "--interval --json --help" -- "$word") ;;
	run) _drover_run "$word" ;;
	esac
}

complete -F _drover drover
