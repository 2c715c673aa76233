// Package manual writes what uwgate says of itself: help texts, manual pages and completions
// for shells. All of them are made of the same two things: the commands as package cli has
// them, and the table of settings.
//
//	book := manual.New(app.Commands, date)
//	book.Help("serve")                  // text of 80 columns
//	book.Page("uwgate-serve.1")         // mdoc
//	book.Completion("bash")             // a script
//
// It prints nothing and reads nothing.
package manual
