package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/manual"
)

// withHelp gives all commands their help texts, and adds those that print what the program
// says of itself.
func withHelp(app *cli.App) *cli.App {
	var book *manual.Book
	app.Commands = append(app.Commands, helpCommand(&book), completionCommand(&book), manCommand(&book), versionCommand())
	book = manual.New(app.Commands, manualDate())
	app.CustomAppHelpTemplate = literal(book.Overview())
	for _, c := range app.Commands {
		c.CustomHelpTemplate = literal(book.Help(c.Name))
		if c.OnUsageError == nil {
			c.OnUsageError = usageError
		}
	}
	return app
}

// literal is a template that prints text.
func literal(text string) string { return strings.ReplaceAll(text, "{{", `{{"{{"}}`) }

// manualDate is the day of the commit that the program was built from, else today.
func manualDate() string {
	day := time.Now()
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				day = t
			}
		}
	}
	return day.Format("January 2, 2006")
}

// helpCommand has a pointer to the book, which is made of all commands, this one included.
func helpCommand(book **manual.Book) *cli.Command {
	return &cli.Command{
		Name:            "help",
		Usage:           "explain a command, a topic or a setting",
		UsageText:       "uwgate help\nuwgate help serve\nuwgate help lifetimes\nuwgate help ttl",
		ArgsUsage:       "word",
		SkipFlagParsing: true, // --ttl is a word
		Description:     "The topics are listed by `uwgate help`, and the settings by `uwgate help settings`.",
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 {
				return fmt.Errorf("help takes one word, not %q", c.Args().Slice())
			}
			text := (*book).Overview()
			if word := c.Args().First(); word != "" {
				if text = (*book).Help(word); text == "" {
					return unknownWord(*book, word)
				}
			}
			_, err := io.WriteString(c.App.Writer, text)
			return err
		},
	}
}

func unknownWord(book *manual.Book, word string) error {
	err := fmt.Errorf("no such command, topic or setting: %q", word)
	if guess := book.Guess(word); guess != "" {
		err = fmt.Errorf("%w; did you mean %q?", err, guess)
	}
	return fmt.Errorf("%w; `uwgate help` lists them", err)
}

func completionCommand(book **manual.Book) *cli.Command {
	return &cli.Command{
		Name:        "completion",
		Usage:       "print the completion for bash, zsh or fish",
		UsageText:   "uwgate completion bash >/etc/bash_completion.d/uwgate\nuwgate completion zsh >/usr/local/share/zsh/site-functions/_uwgate\nuwgate completion fish >~/.config/fish/completions/uwgate.fish",
		ArgsUsage:   "bash | zsh | fish",
		Description: "The script completes commands, flags, words and names of files. It starts no program.",
		Action: func(c *cli.Context) error {
			script := (*book).Completion(c.Args().First())
			if script == "" || c.NArg() > 1 {
				return fmt.Errorf("completion takes the name of a shell: %s", strings.Join(manual.Shells, ", "))
			}
			_, err := io.WriteString(c.App.Writer, script)
			return err
		},
	}
}

func manCommand(book **manual.Book) *cli.Command {
	return &cli.Command{
		Name:      "man",
		Usage:     "print a manual page, or write all of them into a folder",
		UsageText: "uwgate man serve | man -l -\nuwgate man --output /usr/local/share/man",
		ArgsUsage: "page",
		Description: "Without a page it prints uwgate.1. The others are uwgate-COMMAND.1, or COMMAND alone, and\n" +
			"uwgate.yaml.5. --output writes man1/uwgate.1 and so on.",
		Flags: []cli.Flag{&cli.StringFlag{Name: "output", Usage: "write all pages into this `FOLDER`"}},
		Action: func(c *cli.Context) error {
			if folder := c.String("output"); folder != "" {
				return writePages(*book, folder)
			}
			name := c.Args().First()
			if name == "" {
				name = "uwgate"
			}
			page := (*book).Page(name)
			if page == "" {
				return fmt.Errorf("no such page: %q; there are %s", name, strings.Join((*book).Pages(), ", "))
			}
			_, err := io.WriteString(c.App.Writer, page)
			return err
		},
	}
}

// writePages writes all manual pages into the folders of their sections.
func writePages(book *manual.Book, folder string) error {
	var errs []error
	for _, name := range book.Pages() {
		path := filepath.Join(folder, "man"+name[len(name)-1:], name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, []byte(book.Page(name)), 0o644)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:      "version",
		Usage:     "print the version",
		UsageText: "uwgate version",
		Action:    func(c *cli.Context) error { return printVersion(c.App.Writer) },
	}
}
