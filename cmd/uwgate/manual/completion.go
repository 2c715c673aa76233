package manual

import (
	"fmt"
	"slices"
	"strings"

	"uwgate/cmd/uwgate/settings"
)

// Shells are those that Completion knows.
var Shells = []string{"bash", "zsh", "fish"}

// Completion returns the script that completes the command line of uwgate in a shell; "" if
// the shell is none of Shells.
func (b *Book) Completion(shell string) string {
	switch shell {
	case "bash":
		return b.bash()
	case "zsh":
		return b.zsh()
	case "fish":
		return b.fish()
	}
	return ""
}

func (b *Book) names() (names []string) {
	for _, c := range b.commands {
		names = append(names, c.Name)
	}
	return names
}

// arguments returns the words that complete the argument of a command, nil if there are none.
func (b *Book) arguments(c *command) []string {
	switch c.Name {
	case "completion":
		return Shells
	case "help":
		return b.subjects()
	case "man":
		return b.Pages()
	}
	return nil
}

func isPath(d settings.Description) bool {
	return slices.Contains([]string{"file", "directory", "URL or file"}, d.Kind)
}

func (b *Book) bash() string {
	var t strings.Builder
	t.WriteString(`# Completion of uwgate for bash. Made by: uwgate completion bash
_uwgate() {
	local cur=${COMP_WORDS[COMP_CWORD]} flag=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
	COMPREPLY=()
	# --flag=value is three words.
	if [[ $cur == "=" ]]; then
		cur=
	elif [[ $flag == "=" ]]; then
		flag=${COMP_WORDS[COMP_CWORD-2]}
	fi
	if ((COMP_CWORD == 1)); then
		COMPREPLY=($(compgen -W '` + strings.Join(append(b.names(), "--help", "--version"), " ") + `' -- "$cur"))
		return
	fi
	case $command in
`)
	for i := range b.commands {
		c := &b.commands[i]
		fmt.Fprintf(&t, "\t%s)\n\t\tcase $flag in\n", c.Name)
		var paths, plain, flags []string
		for _, d := range c.flags {
			names := []string{"--" + d.Name}
			if d.Short != "" {
				names = append(names, "-"+d.Short)
			}
			flags = append(flags, names...)
			switch {
			case d.Toggle:
			case d.Words != nil:
				fmt.Fprintf(&t, "\t\t%s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n", strings.Join(names, " | "), strings.Join(d.Words, " "))
			case isPath(d):
				paths = append(paths, names...)
			default:
				plain = append(plain, names...)
			}
		}
		if len(paths) > 0 {
			fmt.Fprintf(&t, "\t\t%s) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n", strings.Join(paths, " | "))
		}
		if len(plain) > 0 {
			fmt.Fprintf(&t, "\t\t%s) return ;;\n", strings.Join(plain, " | "))
		}
		words := b.arguments(c)
		fmt.Fprintf(&t, "\t\tesac\n\t\tCOMPREPLY=($(compgen -W '%s' -- \"$cur\"))\n\t\t;;\n", strings.Join(append(append(flags, "--help"), words...), " "))
	}
	t.WriteString("\tesac\n}\ncomplete -F _uwgate uwgate\n")
	return t.String()
}

func (b *Book) zsh() string {
	var t strings.Builder
	t.WriteString("#compdef uwgate\n# Completion of uwgate for zsh. Made by: uwgate completion zsh\n\n_uwgate() {\n\tlocal -a commands\n\tcommands=(\n")
	for _, c := range b.commands {
		fmt.Fprintf(&t, "\t\t%s\n", quote(c.Name+":"+strings.ReplaceAll(c.Usage, ":", `\:`)))
	}
	t.WriteString("\t)\n\tif ((CURRENT == 2)); then\n\t\t_describe command commands\n\t\treturn\n\tfi\n\tlocal command=$words[2]\n\tshift words\n\t((CURRENT--))\n\tcase $command in\n")
	for i := range b.commands {
		c := &b.commands[i]
		fmt.Fprintf(&t, "\t%s)\n\t\t_arguments -s", c.Name)
		for _, d := range c.flags {
			fmt.Fprintf(&t, " \\\n\t\t\t%s", quote(zshFlag(d)))
		}
		fmt.Fprintf(&t, " \\\n\t\t\t%s", quote("--help[show the help]"))
		if words := b.arguments(c); words != nil {
			fmt.Fprintf(&t, " \\\n\t\t\t%s", quote("*:word:("+strings.Join(words, " ")+")"))
		}
		t.WriteString("\n\t\t;;\n")
	}
	t.WriteString("\tesac\n}\n\nif [[ $funcstack[1] == _uwgate ]]; then\n\t_uwgate \"$@\"\nelse\n\tcompdef _uwgate uwgate\nfi\n")
	return t.String()
}

func zshFlag(d settings.Description) string {
	brief := strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`).Replace(d.Brief())
	spec := ""
	if d.List {
		spec = "*"
	}
	spec += "--" + d.Name
	if d.Toggle {
		return spec + "[" + brief + "]"
	}
	spec += "=[" + brief + "]:" + strings.ToLower(strings.ReplaceAll(d.Value(), ":", " ")) + ":"
	switch {
	case d.Words != nil:
		return spec + "(" + strings.Join(d.Words, " ") + ")"
	case isPath(d):
		return spec + "_files"
	}
	return spec
}

func (b *Book) fish() string {
	var t strings.Builder
	t.WriteString("# Completion of uwgate for fish. Made by: uwgate completion fish\ncomplete -c uwgate -f\n")
	for i := range b.commands {
		c := &b.commands[i]
		fmt.Fprintf(&t, "complete -c uwgate -n __fish_use_subcommand -a %s -d %s\n", c.Name, quote(c.Usage))
		when := quote("__fish_seen_subcommand_from " + c.Name)
		for _, d := range c.flags {
			fmt.Fprintf(&t, "complete -c uwgate -n %s -l %s", when, d.Name)
			if d.Short != "" {
				fmt.Fprintf(&t, " -s %s", d.Short)
			}
			switch {
			case d.Toggle:
			case d.Words != nil:
				fmt.Fprintf(&t, " -x -a %s", quote(strings.Join(d.Words, " ")))
			case isPath(d):
				t.WriteString(" -r -F")
			default:
				t.WriteString(" -x")
			}
			fmt.Fprintf(&t, " -d %s\n", quote(d.Brief()))
		}
		if words := b.arguments(c); words != nil {
			fmt.Fprintf(&t, "complete -c uwgate -n %s -a %s\n", when, quote(strings.Join(words, " ")))
		}
	}
	return t.String()
}

// quote makes one word for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
