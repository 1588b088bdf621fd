package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"usersecrets.dev/operator/internal/secretvalue"
)

var (
	errNoPassphrase    = errors.New("there is no terminal to ask for a passphrase at: give --passphrase-file FILE")
	errNoneGiven       = errors.New("the passphrase is empty: give the one that the backup was made with")
	errShortPassphrase = errors.New("the passphrase is too short: use 12 characters at least, better five words drawn by chance")
	errOtherPassphrase = errors.New("the two passphrases differ: try again")
	errTypedPassphrase = errors.New("no passphrase was taken: type one line of characters, or give --passphrase-file FILE")
	errToWhom          = errors.New("--recipient and --passphrase-file exclude each other: give one of them")
	errWithWhat        = errors.New("--identity and --passphrase-file exclude each other: give one of them")
	errRecipient       = errors.New("--recipient is no age recipient: it starts with age1; 'age-keygen' makes a key pair")
	errIdentity        = errors.New("the file that --identity names holds no age identity: it has a line that starts with AGE-SECRET-KEY-")
)

// minPassphrase is the shortest passphrase for a new backup, in bytes.
const minPassphrase = 12

// passphraseSource says where the passphrase comes from: a file, or the person.
type passphraseSource struct{ file string }

func (p *passphraseSource) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.file, "passphrase-file", "", "Read the passphrase from the first line of this file instead of asking.")
}

func (p *passphraseSource) read(ctx context.Context, env *Environment, question string) (secretvalue.Value, error) {
	if p.file == "" {
		return ask(ctx, env, question)
	}
	content, err := readNamed("--passphrase-file", p.file)
	if err != nil {
		return secretvalue.Value{}, err
	}
	defer clear(content)
	line, _, _ := bytes.Cut(content, []byte("\n"))
	return secretvalue.New(bytes.TrimSuffix(line, []byte("\r"))), nil
}

func ask(ctx context.Context, env *Environment, question string) (secretvalue.Value, error) {
	if !env.Prompter.Interactive() {
		return secretvalue.Value{}, errNoPassphrase
	}
	passphrase, err := env.Prompter.AskSecret(ctx, question)
	if errors.Is(err, errSeveralLines) || errors.Is(err, errControl) || errors.Is(err, errInputEnded) {
		return passphrase, errTypedPassphrase // these errors' remedies are for values
	}
	return passphrase, err
}

// choose has a new passphrase chosen, twice at a terminal.
func (p *passphraseSource) choose(ctx context.Context, env *Environment) (secretvalue.Value, error) {
	first, err := p.read(ctx, env, "Passphrase for the backup (not shown): ")
	if err != nil {
		return secretvalue.Value{}, err
	}
	if first.Len() < minPassphrase {
		return secretvalue.Value{}, errShortPassphrase
	}
	if p.file != "" {
		return first, nil
	}
	again, err := p.read(ctx, env, "The same again (not shown): ")
	if err != nil {
		return secretvalue.Value{}, err
	}
	defer again.Zero()
	if !first.Equal(again) {
		return secretvalue.Value{}, errOtherPassphrase
	}
	return first, nil
}

// readNamed reads the file that a flag names. The error does not repeat the name:
// what stands there may be the secret itself.
func readNamed(flag, path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, unnamed(flag, err)
	}
	return content, nil
}

// recipientsOf are those that flags name; nil for a passphrase.
func recipientsOf(texts []string, p *passphraseSource) ([]age.Recipient, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	if p.file != "" {
		return nil, errToWhom
	}
	to, err := age.ParseRecipients(strings.NewReader(strings.Join(texts, "\n")))
	if err != nil {
		return nil, errRecipient
	}
	return to, nil
}

// chosen is a recipient that a new passphrase makes.
func (p *passphraseSource) chosen(ctx context.Context, env *Environment) ([]age.Recipient, error) {
	passphrase, err := p.choose(ctx, env)
	if err != nil {
		return nil, err
	}
	defer passphrase.Zero()
	to, err := age.NewScryptRecipient(string(passphrase.Bytes()))
	if err != nil {
		return nil, fmt.Errorf("preparing the passphrase: %w", err)
	}
	return []age.Recipient{to}, nil
}

// identities open a backup.
func identities(ctx context.Context, env *Environment, file string, p *passphraseSource) ([]age.Identity, error) {
	if file != "" {
		return identitiesIn(file)
	}
	passphrase, err := p.read(ctx, env, "Passphrase of the backup (not shown): ")
	if err != nil {
		return nil, err
	}
	defer passphrase.Zero()
	if passphrase.Len() == 0 {
		return nil, errNoneGiven
	}
	id, err := age.NewScryptIdentity(string(passphrase.Bytes()))
	if err != nil {
		return nil, fmt.Errorf("preparing the passphrase: %w", err)
	}
	return []age.Identity{id}, nil
}

func identitiesIn(file string) ([]age.Identity, error) {
	content, err := readNamed("--identity", file)
	if err != nil {
		return nil, err
	}
	defer clear(content)
	ids, err := age.ParseIdentities(bytes.NewReader(content))
	if err != nil {
		return nil, errIdentity
	}
	return ids, nil
}
