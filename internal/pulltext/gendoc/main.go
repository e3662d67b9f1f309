// Command gendoc writes the examples of a page about pull requests, given on standard input, to standard output.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gendoc:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	page, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	all, err := examples()
	if err != nil {
		return err
	}
	text, err := fillIn(string(page), all)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, text)
	return err
}
