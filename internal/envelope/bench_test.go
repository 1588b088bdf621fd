package envelope_test

import (
	"bytes"
	"fmt"
	"testing"

	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

// benchmarkSizes are those of an API key and of the largest value, in bytes.
var benchmarkSizes = []int{64, envelope.MaxValueLength}

func BenchmarkSeal(b *testing.B) {
	pk := deriveKey(b, "v1", material(0), "alice").PublicKey()
	for _, size := range benchmarkSizes {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			value := secretvalue.New(bytes.Repeat([]byte("a"), size))
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := pk.Seal(place, value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	key := deriveKey(b, "v1", material(0), "alice")
	for _, size := range benchmarkSizes {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			sealed := parse(b, seal(b, key, place, bytes.Repeat([]byte("a"), size)))
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := key.Open(sealed, place); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	key := deriveKey(b, "v1", material(0), "alice")
	for _, size := range benchmarkSizes {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			text := seal(b, key, place, bytes.Repeat([]byte("a"), size))
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := envelope.Parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDeriveUserKey(b *testing.B) {
	m := material(0)
	id, err := envelope.NewKeyID("v1", m)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := envelope.DeriveUserKey(id, m, "alice"); err != nil {
			b.Fatal(err)
		}
	}
}
