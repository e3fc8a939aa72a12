module warmwind/supervisor

go 1.24
