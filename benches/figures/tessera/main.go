// A log on Tessera's POSIX storage with the smallest personality there is, for benches/figures/append.rs.
//
// Usage: tessera DIR ADDRESS BATCH WAIT, with the log's key in LOG_PRIVATE_KEY. POST /add takes an
// entry and answers with its index once Tessera says that it is durable.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	ctx := context.Background()
	signer := must(note.NewSigner(os.Getenv("LOG_PRIVATE_KEY")))
	driver := must(posix.New(ctx, posix.Config{Path: os.Args[1]}))
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithCheckpointInterval(time.Second).
		WithBatching(uint(must(strconv.ParseUint(os.Args[3], 10, 32))), must(time.ParseDuration(os.Args[4])))
	appender, _, _, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("POST /add", func(answer http.ResponseWriter, request *http.Request) {
		entry, err := io.ReadAll(request.Body)
		if err == nil {
			var index tessera.Index
			if index, err = appender.Add(ctx, tessera.NewEntry(entry))(); err == nil {
				fmt.Fprintf(answer, "%d", index.Index)
				return
			}
		}
		http.Error(answer, err.Error(), http.StatusInternalServerError)
	})
	log.Fatal(http.ListenAndServe(os.Args[2], nil))
}
