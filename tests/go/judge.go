// Answers questions about notes, hashes and proofs with Go's own checksum-database code
// (golang.org/x/mod/sumdb), which shares no line with ours. One question a line, one answer a line:
//
//	note TEXT KEY...                        who of these signed it, or "refused"
//	sign SECRETKEY TEXT                     the signed note
//	hash ENTRY                              its leaf hash
//	record SIZE ROOT INDEX LEAF HASH...     "holds" or "refused"
//	tree SIZE ROOT OLDSIZE OLDROOT HASH...  "holds" or "refused"
//	prove SIZE INDEX                        the inclusion proof in the tree of "entry 0", "entry 1", ...
//	follow SIZE OLDSIZE                     the consistency proof in it
//
// TEXT, ENTRY and hashes are in base64.
package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func decode(text string) []byte {
	bytes, err := base64.StdEncoding.DecodeString(text)
	must(err)
	return bytes
}

func encode(bytes []byte) string {
	return base64.StdEncoding.EncodeToString(bytes)
}

func hash(text string) (h tlog.Hash) {
	if copy(h[:], decode(text)) != tlog.HashSize {
		log.Fatalf("not a hash: %s", text)
	}
	return h
}

func hashes(texts []string) (all []tlog.Hash) {
	for _, text := range texts {
		all = append(all, hash(text))
	}
	return all
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	must(err)
	return n
}

func verdict(err error) string {
	if err != nil {
		return "refused"
	}
	return "holds"
}

func spelled(proof []tlog.Hash, err error) string {
	must(err)
	var words []string
	for _, h := range proof {
		words = append(words, encode(h[:]))
	}
	return strings.Join(words, " ")
}

func open(text []byte, keys []string) string {
	var known []note.Verifier
	for _, key := range keys {
		verifier, err := note.NewVerifier(key)
		must(err)
		known = append(known, verifier)
	}
	opened, err := note.Open(text, note.VerifierList(known...))
	if err != nil {
		return "refused"
	}
	var names []string
	for _, signature := range opened.Sigs {
		names = append(names, signature.Name)
	}
	return strings.Join(names, " ")
}

func main() {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (found []tlog.Hash, err error) {
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	grown := int64(0)
	grow := func(size int64) {
		for ; grown < size; grown++ {
			more, err := tlog.StoredHashes(grown, []byte(fmt.Sprintf("entry %d", grown)), reader)
			must(err)
			stored = append(stored, more...)
		}
	}
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 1<<22)
	for input.Scan() {
		words := strings.Fields(input.Text())
		answer := ""
		switch words[0] {
		case "note":
			answer = open(decode(words[1]), words[2:])
		case "sign":
			signer, err := note.NewSigner(words[1])
			must(err)
			signed, err := note.Sign(&note.Note{Text: string(decode(words[2]))}, signer)
			must(err)
			answer = encode(signed)
		case "hash":
			leaf := tlog.RecordHash(decode(strings.Join(words[1:], "")))
			answer = encode(leaf[:])
		case "record":
			err := tlog.CheckRecord(hashes(words[5:]), number(words[1]), hash(words[2]), number(words[3]), hash(words[4]))
			answer = verdict(err)
		case "tree":
			err := tlog.CheckTree(hashes(words[5:]), number(words[1]), hash(words[2]), number(words[3]), hash(words[4]))
			answer = verdict(err)
		case "prove":
			grow(number(words[1]))
			answer = spelled(tlog.ProveRecord(number(words[1]), number(words[2]), reader))
		case "follow":
			grow(number(words[1]))
			answer = spelled(tlog.ProveTree(number(words[1]), number(words[2]), reader))
		default:
			log.Fatalf("what is %q", words[0])
		}
		fmt.Println(answer)
	}
	must(input.Err())
}
