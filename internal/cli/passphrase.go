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
	errShortPassphrase = errors.New("the passphrase is too short: use 12 characters at least, better five words drawn by chance")
	errOtherPassphrase = errors.New("the two passphrases differ: try again")
	errTwoWays         = errors.New("give a passphrase or a key pair of age, not both")
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
	if p.file != "" {
		content, err := os.ReadFile(p.file)
		if err != nil {
			return secretvalue.Value{}, fmt.Errorf("reading the passphrase: %w; name a file that you may read", err)
		}
		defer clear(content)
		line, _, _ := bytes.Cut(content, []byte("\n"))
		return secretvalue.New(bytes.TrimSuffix(line, []byte("\r"))), nil
	}
	if !env.Prompter.Interactive() {
		return secretvalue.Value{}, errNoPassphrase
	}
	return env.Prompter.AskSecret(ctx, question)
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
	again, err := p.read(ctx, env, "The same again: ")
	if err != nil {
		return secretvalue.Value{}, err
	}
	defer again.Zero()
	if !first.Equal(again) {
		return secretvalue.Value{}, errOtherPassphrase
	}
	return first, nil
}

// recipients are whom a backup is for.
func recipients(ctx context.Context, env *Environment, texts []string, p *passphraseSource) ([]age.Recipient, error) {
	if len(texts) > 0 {
		if p.file != "" {
			return nil, errTwoWays
		}
		to, err := age.ParseRecipients(strings.NewReader(strings.Join(texts, "\n")))
		if err != nil {
			return nil, errRecipient
		}
		return to, nil
	}
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
		if p.file != "" {
			return nil, errTwoWays
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the identity: %w; name a file that you may read", err)
		}
		defer clear(content)
		ids, err := age.ParseIdentities(bytes.NewReader(content))
		if err != nil {
			return nil, errIdentity
		}
		return ids, nil
	}
	passphrase, err := p.read(ctx, env, "Passphrase of the backup (not shown): ")
	if err != nil {
		return nil, err
	}
	defer passphrase.Zero()
	id, err := age.NewScryptIdentity(string(passphrase.Bytes()))
	if err != nil {
		return nil, fmt.Errorf("preparing the passphrase: %w", err)
	}
	return []age.Identity{id}, nil
}
