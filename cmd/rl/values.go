package main

import (
	"strings"

	"github.com/alecthomas/kong"

	"github.com/rl-containers/rl/container"
)

// values are what a flag can be set to. prefix is what stands before the value in the same word.
func values(verb string, f *kong.Flag, prefix, current string) offer {
	o := flagValues(verb, f, current)
	for i := range o.choices {
		o.choices[i].word = prefix + o.choices[i].word
	}
	return o
}

func flagValues(verb string, f *kong.Flag, current string) offer {
	if f.Enum != "" {
		return offer{choices: plainChoices(f.EnumSlice())}
	}
	switch f.Name {
	case "volume":
		return offer{choices: volumes(), files: "files"}
	case "volumes-from":
		return offer{choices: containers(verb)}
	case "tz":
		return offer{choices: plainChoices(append([]string{"local", "UTC"}, container.TimeZones()...))}
	case "network", "pid", "ipc":
		o := offer{choices: plainChoices(known(f.Name))}
		if strings.HasPrefix(current, "container:") {
			for _, c := range containers("exec") {
				o.choices = append(o.choices, choice{"container:" + c.word, c.help})
			}
		}
		return o
	}
	if list := known(f.Name); list != nil && !strings.Contains(f.PlaceHolder, "|") { // which says it better
		return offer{choices: plainChoices(list)}
	}
	return byPlaceholder(verb, f, current)
}

// byPlaceholder reads from the help what a value looks like: small words between bars stand for themselves, keys end in =.
func byPlaceholder(verb string, f *kong.Flag, current string) offer {
	switch shown := f.FormatPlaceHolder(); {
	case shown == "FILE":
		return offer{files: "files"}
	case shown == "DIR" && f.Name != "workdir", strings.HasPrefix(shown, "SRC"), f.Name == "context":
		return offer{files: "files"}
	case strings.HasPrefix(shown, "KEY=VALUE"):
		if key, _, has := strings.Cut(current, "="); has {
			return offer{choices: filterValues(verb, key)}
		}
		return offer{choices: plainChoices(keys(f.Help))}
	default:
		var o offer
		for _, w := range strings.Split(shown, "|") {
			if w != "" && w == strings.ToLower(w) && safe(w) {
				o.choices = append(o.choices, choice{word: w})
			}
		}
		return o
	}
}

// filterValues are those of a filter, with its key.
func filterValues(verb, key string) []choice {
	var all []choice
	switch key {
	case "before", "since":
		if all = containers(""); strings.HasPrefix(verb, "image") {
			all = images("")[1:] // tiny is in no store
		}
	case "container", "name":
		all = containers("")
	case "ancestor", "image", "reference":
		all = images("")
	case "volume":
		all = volumes()
	default:
		all = plainChoices(strings.Fields(filterWords(key)))
	}
	for i := range all {
		all[i].word = key + "=" + all[i].word
	}
	return all
}

// filterWords are the values of filters that are words.
func filterWords(key string) string {
	switch key {
	case "status":
		return "created running paused restarting exited"
	case "health":
		return "starting healthy unhealthy none"
	case "restart-policy":
		return "no on-failure always unless-stopped"
	case "should-start-on-boot", "dangling", "anonymous", "intermediate", "containers", "readonly":
		return "true false"
	case "type":
		return "container image volume"
	}
	return ""
}

// keys are the words of a help that end in =, as "label=KEY[=VALUE], label!=, until=TIME" has three.
func keys(help string) []string {
	var all []string
	for _, part := range strings.FieldsFunc(help, func(r rune) bool { return r == ' ' || r == ',' || r == '(' || r == ';' || r == ':' }) {
		if key, _, has := strings.Cut(part, "="); has && key == strings.ToLower(key) && strings.Trim(key, "abcdefghijklmnopqrstuvwxyz-") == "" && key != "" {
			all = append(all, key+"=")
		}
	}
	return all
}

// known are the values of flags whose help says them in a sentence.
func known(flag string) []string {
	list := ""
	switch flag {
	case "restart":
		list = "no on-failure always unless-stopped"
	case "restart-policy":
		list = "no on-success on-failure always"
	case "pull":
		list = "always missing never newer"
	case "log-level":
		list = "error warn info debug trace"
	case "log-driver":
		list = "k8s-file json-file journald none"
	case "network":
		list = "slirp4netns pasta none host container:"
	case "pid", "uts":
		list = "host"
	case "ipc":
		list = "host private"
	case "userns":
		list = "keep-id host nomap"
	case "image-volume":
		list = "anonymous tmpfs ignore"
	case "storage-driver":
		list = "overlay fuse-overlayfs"
	case "health-on-failure":
		list = "none kill restart stop"
	case "security-opt":
		list = "no-new-privileges seccomp= mask= unmask="
	case "signal", "stop-signal":
		list = "HUP INT QUIT KILL USR1 USR2 TERM CONT STOP WINCH"
	case "condition":
		list = "running exited stopped created paused removed healthy unhealthy"
	case "sort":
		list = "created command id image names runningfor size status"
	case "type":
		list = "container image volume"
	case "mount":
		list = "type=bind,src= type=volume,src= type=tmpfs,dst="
	case "cap-add", "cap-drop":
		list = "ALL AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_ADMIN NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_CHROOT SYS_NICE SYS_PTRACE SYS_TIME"
	default:
		return nil
	}
	return strings.Fields(list)
}
