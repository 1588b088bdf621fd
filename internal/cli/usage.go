package cli

import (
	"github.com/spf13/cobra"
)

// The templates lay help out as kubectl does: what, examples, options, usage;
// the options that every command has stand in one place of their own.
const (
	helpTemplate = `{{with or .Long .Short}}{{. | trimTrailingWhitespaces}}

{{end}}{{.UsageString}}`

	usageTemplate = `{{if .HasExample}}Examples:
{{.Example}}

{{end}}{{if .HasAvailableSubCommands}}Available Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}

{{end}}{{if and .HasParent .HasAvailableLocalFlags}}Options:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}

{{end}}Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} [command] [options]{{else}}{{.UseLine}}{{end}}

{{if .HasAvailableSubCommands}}Use "{{.CommandPath}} [command] --help" for more information about a given command.
{{end}}Use "kubectl usersecret options" for the options that every command has, such as --namespace and --context.
`
	optionsTemplate = `The following options can be passed to any command:

{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}
`
)

func setTemplates(root *cobra.Command) {
	root.SetHelpTemplate(helpTemplate)
	root.SetUsageTemplate(usageTemplate)
}

// newOptions returns the command that lists the options of every command.
func newOptions() *cobra.Command {
	cmd := &cobra.Command{
		Use:                   "options",
		Short:                 "List the options that every command has",
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		RunE:                  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetHelpTemplate(optionsTemplate)
	return cmd
}
