. "$LIB"
good=$(image_id app:1)
trap 'docker tag "$good" app:1' EXIT
docker tag stranger:1 app:1
run app:1
