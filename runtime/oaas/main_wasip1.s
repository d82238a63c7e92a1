// This file is empty. It lets serve_wasip1.go declare functions without a body.
