from typing import Any

from local.telecom import TelecomServer
from tests.unit.telecom.calls import reason, refused, request


def test_help_and_stop_are_always_there_and_others_come_and_go(server: TelecomServer, sms: Any) -> None:
    number = request(sms)["PhoneNumberId"]
    sms.put_keyword(OriginationIdentity=number, Keyword="HELP", KeywordMessage="Call us.")
    sms.put_keyword(OriginationIdentity=number, Keyword="Info", KeywordMessage="Here.", KeywordAction="OPT_IN")
    listed = sms.describe_keywords(OriginationIdentity=number)["Keywords"]
    assert {
        one["Keyword"]: (one["KeywordMessage"], one["KeywordAction"]) for one in listed if one["Keyword"] != "STOP"
    } == {
        "HELP": ("Call us.", "AUTOMATIC_RESPONSE"),
        "Info": ("Here.", "OPT_IN"),
    }
    told = reason(sms.delete_keyword, OriginationIdentity=number, Keyword="stop")
    assert told == ("ConflictException", "RESOURCE_DELETION_NOT_ALLOWED")
    sms.delete_keyword(OriginationIdentity=number, Keyword="INFO")
    error = refused(sms.describe_keywords, OriginationIdentity=number, Keywords=["INFO"])
    assert (error["Code"], error["ResourceType"]) == ("ResourceNotFoundException", "keyword")
    server.configure(keywords_per_number=2)
    told = reason(sms.put_keyword, OriginationIdentity=number, Keyword="MORE", KeywordMessage="More.")
    assert told == ("ServiceQuotaExceededException", "KEYWORDS_PER_PHONE_NUMBER")


def test_an_opt_out_list_in_use_is_not_deleted(server: TelecomServer, sms: Any) -> None:
    arn = sms.create_opt_out_list(OptOutListName="mine")["OptOutListArn"]
    number = request(sms, OptOutListName=arn)["PhoneNumberId"]
    assert reason(sms.delete_opt_out_list, OptOutListName="mine") == ("ConflictException", "RESOURCE_NOT_EMPTY")
    assert reason(sms.create_opt_out_list, OptOutListName="mine") == ("ConflictException", "RESOURCE_ALREADY_EXISTS")
    sms.release_phone_number(PhoneNumberId=number)
    sms.delete_opt_out_list(OptOutListName="mine")
    assert [one["OptOutListName"] for one in sms.describe_opt_out_lists()["OptOutLists"]] == ["Default"]
    server.configure(opt_out_lists=1)
    assert reason(sms.create_opt_out_list, OptOutListName="more")[1] == "OPT_OUT_LISTS_PER_ACCOUNT"


def test_registrations_are_described_by_id_and_status(server: TelecomServer, sms: Any) -> None:
    made = sms.create_registration(RegistrationType="A")["RegistrationId"]
    server.configure(registration_status="CREATED", registrations=2)
    sms.create_registration(RegistrationType="B")
    complete = [{"Name": "registration-status", "Values": ["COMPLETE"]}]
    (found,) = sms.describe_registrations(Filters=complete)["Registrations"]
    assert found["RegistrationId"] == made
    assert refused(sms.describe_registrations, RegistrationIds=["no"])["ResourceType"] == "registration"
    assert reason(sms.create_registration, RegistrationType="C")[1] == "REGISTRATIONS_PER_ACCOUNT"


def test_account_limits_count_what_is_used(sms: Any) -> None:
    request(sms)
    limits = {one["Name"]: (one["Used"], one["Max"]) for one in sms.describe_account_limits()["AccountLimits"]}
    assert (limits["PHONE_NUMBERS"], limits["SENDER_IDS"], limits["OPT_OUT_LISTS"]) == ((1, 25), (0, 200), (1, 25))


def test_tags_are_added_removed_and_seen_after_the_lag(server: TelecomServer, sms: Any) -> None:
    arn = request(sms, Tags=[{"Key": "a", "Value": "1"}])["PhoneNumberArn"]
    server.configure(tags_lag_seconds=10)
    sms.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    sms.untag_resource(ResourceArn=arn, TagKeys=["b", "never there"])
    assert sms.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "1"}]
    server.clock.advance(10)
    assert sms.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "2"}]
    many = [{"Key": f"k{index}", "Value": ""} for index in range(200)]
    told = reason(sms.tag_resource, ResourceArn=arn, Tags=many)
    assert told == ("ServiceQuotaExceededException", "TAGS_PER_RESOURCE")
    assert refused(sms.list_tags_for_resource, ResourceArn=f"{arn}0")["Code"] == "ResourceNotFoundException"
