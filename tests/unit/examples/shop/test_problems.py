from examples.shop.problems import Problem, documented, problem_answer


def test_a_problem_is_for_programs_and_for_people() -> None:
    body = Problem(409, "already_refunded", "the money is back", open=3).body
    assert body == {
        "type": "about:blank",
        "title": "Refused",
        "status": 409,
        "detail": "the money is back",
        "code": "already_refunded",
        "open": 3,
    }


def test_who_is_not_known_is_told_how_to_be() -> None:
    answer = problem_answer(Problem(401, "unauthorised", "who?"))
    assert (answer.headers["www-authenticate"], answer.media_type) == ("Bearer", "application/problem+json")


def test_every_operation_may_refuse_who_is_not_known_and_what_is_not_valid() -> None:
    assert sorted(map(int, documented(404))) == [401, 404, 422]
