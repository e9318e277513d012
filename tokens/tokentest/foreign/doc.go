// Package foreign holds the tests of the virtual PIV card with programs and
// libraries of others, on the real pcscd: whatever they accept, and how they
// see its errors, is what the card must be like. There is nothing in it to
// import.
package foreign
