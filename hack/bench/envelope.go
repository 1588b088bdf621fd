package main

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

// keyLength is that of common API keys, in bytes, as newValue's.
const keyLength = 56

// operation is one of the envelope's, and the least that could stand for it.
type operation struct {
	name        string
	ours, floor func() error
}

// runEnvelope is section (e): sealing, opening and deriving a user's key, beside
// the bare primitives of the same suite.
func runEnvelope(_ context.Context, s *settings) (*report, error) {
	operations, err := envelopeOperations()
	if err != nil {
		return nil, err
	}
	t := table{
		title:   "(e) The envelope",
		columns: []string{"operation", "ours", "floor", "ours to the floor", "B/op", "floor", "allocs/op", "floor"},
	}
	for _, o := range operations {
		say("%s", o.name)
		ours, floor, err := o.measure(s.sizes.rounds)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.name, err)
		}
		t.add(o.name, nanoseconds(ours), nanoseconds(floor), ratio(float64(ours.NsPerOp()), float64(floor.NsPerOp())),
			fmt.Sprint(ours.AllocedBytesPerOp()), fmt.Sprint(floor.AllocedBytesPerOp()),
			fmt.Sprint(ours.AllocsPerOp()), fmt.Sprint(floor.AllocsPerOp()))
	}
	t.notes = []string{fmt.Sprintf("Each is the median of %d by turns. Floors: the bare Seal and Open of crypto/hpke with the same suite, keys and length of info; HKDF and the private key made of its output. Load average at the end: %s.", s.sizes.rounds, load())}
	return &report{tables: []table{t}}, nil
}

func nanoseconds(r testing.BenchmarkResult) string { return fmt.Sprintf("%d ns", r.NsPerOp()) }

// measure runs an operation and its floor by turns, and returns the median of each.
func (o operation) measure(rounds int) (ours, floor testing.BenchmarkResult, err error) {
	var all [2][]testing.BenchmarkResult
	for range rounds {
		for i, run := range []func() error{o.ours, o.floor} {
			r, err := benchmark(run)
			if err != nil {
				return ours, floor, err
			}
			all[i] = append(all[i], r)
		}
	}
	return middle(all[0]), middle(all[1]), nil
}

func middle(results []testing.BenchmarkResult) testing.BenchmarkResult {
	slices.SortFunc(results, func(a, b testing.BenchmarkResult) int { return int(a.NsPerOp() - b.NsPerOp()) })
	return results[(len(results)-1)/2]
}

// benchmark runs for about a second.
func benchmark(run func() error) (testing.BenchmarkResult, error) {
	var failed error
	r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if failed = run(); failed != nil {
				b.FailNow()
			}
		}
	})
	return r, failed
}

// envelopeOperations are of a value of an API key's size and of the largest.
// Opening begins with the stored text, as the operator does.
func envelopeOperations() ([]operation, error) {
	const owner = "bench"
	material := make([]byte, envelope.EncryptionKeySize)
	_, _ = rand.Read(material) // never fails
	id, err := envelope.NewKeyID("v1", material)
	if err != nil {
		return nil, err
	}
	key, err := envelope.DeriveUserKey(id, material, owner)
	if err != nil {
		return nil, err
	}
	bare, err := bareKey(material, owner)
	if err != nil {
		return nil, err
	}
	var all []operation
	place := envelope.Binding{Owner: owner, Namespace: owner, Name: secretName(0)}
	for _, size := range []int{keyLength, envelope.MaxValueLength} {
		value := bytes.Repeat([]byte("x"), size)
		info := bytes.Repeat([]byte("x"), infoLength(place, id))
		of, err := sealAndOpen(key, bare, place, value, info)
		if err != nil {
			return nil, err
		}
		all = append(all, of...)
	}
	return append(all, operation{
		name:  "derive a user's key",
		ours:  func() error { _, err := envelope.DeriveUserKey(id, material, owner); return err },
		floor: func() error { _, err := bareKey(material, owner); return err },
	}), nil
}

// The labels of the envelope, for the floors to hash as much as it does
// (docs/spec/envelope.md, sections 4 and 5).
const (
	infoLabel    = "usersecrets.dev/us1"
	userKeyLabel = infoLabel + "/user-key"
)

// infoLength is that of HPKE's info: a label and its end, and four fields with
// two bytes of length before each.
func infoLength(place envelope.Binding, id envelope.KeyID) int {
	return len(infoLabel) + 1 + len(place.Owner+place.Namespace+place.Name+string(id)) + 4*2
}

// bareKey is a user's key without a check of anything.
func bareKey(material []byte, owner string) (hpke.PrivateKey, error) {
	const seedSize = 32 // bytes, of every MLKEM768-X25519 key
	seed, err := hkdf.Key(sha256.New, material, nil, userKeyLabel+"\x00"+owner, seedSize)
	if err != nil {
		return nil, err
	}
	return hpke.MLKEM768X25519().NewPrivateKey(seed)
}

func sealAndOpen(key *envelope.UserKey, bare hpke.PrivateKey, place envelope.Binding, plaintext, info []byte) ([]operation, error) {
	value, kdf, aead := secretvalue.New(plaintext), hpke.HKDFSHA256(), hpke.AES256GCM()
	public := bare.PublicKey() // made anew at each call
	text, err := key.PublicKey().Seal(place, value)
	if err != nil {
		return nil, err
	}
	payload, err := hpke.Seal(public, kdf, aead, info, plaintext)
	if err != nil {
		return nil, err
	}
	seal := operation{
		name:  fmt.Sprintf("seal %d bytes", len(plaintext)),
		ours:  func() error { _, err := key.PublicKey().Seal(place, value); return err },
		floor: func() error { _, err := hpke.Seal(public, kdf, aead, info, plaintext); return err },
	}
	open := operation{
		name: fmt.Sprintf("open %d bytes", len(plaintext)),
		ours: func() error {
			sealed, err := envelope.Parse(text)
			if err != nil {
				return err
			}
			opened, err := key.Open(sealed, place)
			if err == nil && opened.Len() != len(plaintext) {
				return errShort
			}
			return err
		},
		floor: func() error { _, err := hpke.Open(bare, kdf, aead, info, payload); return err },
	}
	return []operation{seal, open}, nil
}

var errShort = errors.New("what was opened is not what was sealed")
