// Package settings reads what the operator of uwgate has decided: the command line, the
// environment, a YAML file and nginx's configuration. It returns one typed value, and it
// knows where each part of that comes from.
//
//	set := settings.ForServe()       // the settings of a command
//	command.Flags = set.Flags()      // package cli collects the command line
//	parts, err := set.ReadParts(ctx) // all that a gateway is made of; again at each HUP
//	parts.Lifetimes.Default          // 5m
//	parts.Origin("ttl")              // /etc/uwgate/uwgate.yaml:3
//
// # One table
//
// A row describes one setting: its name, how its values are read and into which field,
// its default, an example, the help, and whether HUP changes it. The rows are in rows_*.go,
// pools.go and subscribe.go. Flags, names in the environment, keys of the file,
// docs/settings.md and the errors are made from them. To add a setting, add a row, a field
// of Settings, and a bad value to the table in errors_test.go.
//
// # Two steps
//
// Read makes Settings. A value comes from the command line, else the environment, else the
// file of --config, else the nginx.conf of --nginx, else the default. All texts take the
// same way: lists are split at line feeds, values are read by their rows, and an Error names
// what is wrong. Nothing but the files of --config and --nginx is opened.
//
// Parts makes what a gateway needs of Settings. It checks the settings together, reads the
// files that they name, and looks up names of users and of memcached servers. It listens
// nowhere and connects to nothing. Commands that need less call Policy, Ring, Snippet or
// Gateway.
//
// # Errors
//
// Errors are for people, and all of them are returned at once. Each names the setting as it
// is written at its origin, the value, what to write, and an example:
//
//	--jitter "60%": write a share of the lifetime from 0% to 50%; for example --jitter 5%
//	UWGATE_TTL "soon": write a time with its unit, as in 90s; for example UWGATE_TTL=10m
//	uwgate.yaml:3: ttl "soon": write a time with its unit, as in 90s; for example ttl: 10m
//
// # HUP
//
// Changes and NeedRestart compare two Parts. They compare values, and what the values name:
// the contents of files and the addresses of names.
//
// # What it leaves out
//
// It opens no sockets and no log files, and makes no gateway: that is for package main.
// Secrets do not appear in errors.
package settings
