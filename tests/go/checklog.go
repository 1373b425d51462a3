// Checks a log directory and proofs with Go's own checksum-database code
// (golang.org/x/mod/sumdb), which shares no line with ours.
//
// usage: checklog DIR VKEY < proofs
// a line of proofs is "record INDEX HASH..." or "tree OLDSIZE OLDROOT HASH...", hashes in base64.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"log"
	"os"
	"path/filepath"
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

func hash(text string) (h tlog.Hash) {
	decoded, err := base64.StdEncoding.DecodeString(text)
	must(err)
	if copy(h[:], decoded) != tlog.HashSize {
		log.Fatalf("not a hash: %s", text)
	}
	return h
}

func main() {
	dir, vkey := os.Args[1], os.Args[2]
	verifier, err := note.NewVerifier(vkey)
	must(err)
	signed, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	must(err)
	opened, err := note.Open(signed, note.VerifierList(verifier))
	must(err)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		log.Fatalf("not a checkpoint: %q", opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root := hash(lines[2])

	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (found []tlog.Hash, err error) {
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	var records []tlog.Hash
	for n := int64(0); n*256 < size; n++ {
		name := fmt.Sprintf("tile/entries/%03d", n)
		width := size - n*256
		if width < 256 {
			name += fmt.Sprintf(".p/%d", width)
		}
		bundle, err := os.ReadFile(filepath.Join(dir, name))
		must(err)
		for len(bundle) > 0 {
			length := int(bundle[0])<<8 | int(bundle[1])
			entry := bundle[2 : 2+length]
			bundle = bundle[2+length:]
			id := int64(len(records))
			hashes, err := tlog.StoredHashes(id, entry, reader)
			must(err)
			stored = append(stored, hashes...)
			records = append(records, tlog.RecordHash(entry))
		}
	}
	if int64(len(records)) != size {
		log.Fatalf("%d entries, checkpoint of %d", len(records), size)
	}
	computed, err := tlog.TreeHash(size, reader)
	must(err)
	if computed != root {
		log.Fatalf("root %v, checkpoint of %v", computed, root)
	}

	// Every hash tile on disk is the one that Go computes, and none is missing.
	tiles := 0
	for _, tile := range tlog.NewTiles(8, 0, size) {
		// Go also names the narrower tiles that smaller trees had.
		if tile.W < 256 && int64(tile.W) != (size>>(8*tile.L))%256 {
			continue
		}
		name := fmt.Sprintf("tile/%d/%03d", tile.L, tile.N)
		if tile.W < 256 {
			name += fmt.Sprintf(".p/%d", tile.W)
		}
		data, err := tlog.ReadTileData(tile, reader)
		must(err)
		found, err := os.ReadFile(filepath.Join(dir, name))
		must(err)
		if !bytes.Equal(data, found) {
			log.Fatalf("%s is another tile", name)
		}
		tiles++
	}

	checked := 0
	for input := bufio.NewScanner(os.Stdin); input.Scan(); checked++ {
		fields := strings.Fields(input.Text())
		n, err := strconv.ParseInt(fields[1], 10, 64)
		must(err)
		var hashes []tlog.Hash
		for _, field := range fields[2:] {
			hashes = append(hashes, hash(field))
		}
		switch fields[0] {
		case "record":
			must(tlog.CheckRecord(hashes, size, root, n, records[n]))
		case "tree":
			must(tlog.CheckTree(hashes[1:], size, root, n, hashes[0]))
		default:
			log.Fatalf("what is %q", fields[0])
		}
	}
	fmt.Printf("%d entries, %d tiles, %d proofs\n", size, tiles, checked)
}
