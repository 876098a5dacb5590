from typing import Any

from local.telecom import TelecomServer
from tests.unit.telecom.calls import conflict, error_of, invalid, quota, request


def test_keywords_can_be_changed_except_mandatory_ones(server: TelecomServer, sms: Any) -> None:
    number = request(sms)["PhoneNumberId"]
    sms.put_keyword(OriginationIdentity=number, Keyword="HELP", KeywordMessage="Call us.")
    sms.put_keyword(OriginationIdentity=number, Keyword="Info", KeywordMessage="Details.", KeywordAction="OPT_IN")
    listed = sms.describe_keywords(OriginationIdentity=number)["Keywords"]
    seen = {one["Keyword"]: (one["KeywordMessage"], one["KeywordAction"]) for one in listed}
    assert seen.keys() == {"HELP", "STOP", "Info"}
    assert (seen["HELP"], seen["Info"]) == (("Call us.", "AUTOMATIC_RESPONSE"), ("Details.", "OPT_IN"))
    changed = {"OriginationIdentity": number, "KeywordMessage": "Call us."}
    assert (
        invalid(sms.put_keyword, **changed, Keyword="help", KeywordAction="AUTOMATIC_RESPONSE") == "INVALID_PARAMETER"
    )
    assert {invalid(sms.put_keyword, **changed, Keyword=name) for name in (" INFO", "INFO ")} == {"INVALID_PARAMETER"}
    deletion = {"OriginationIdentity": number, "Keyword": "stop"}
    assert conflict(sms.delete_keyword, **deletion) == "RESOURCE_DELETION_NOT_ALLOWED"
    sms.delete_keyword(OriginationIdentity=number, Keyword="INFO")
    error = error_of(sms.describe_keywords, OriginationIdentity=number, Keywords=["INFO"])
    assert (error["Code"], error["ResourceType"]) == ("ResourceNotFoundException", "keyword")
    server.configure(keywords_per_number=2)
    more = {"OriginationIdentity": number, "Keyword": "MORE", "KeywordMessage": "More."}
    assert quota(sms.put_keyword, **more) == "KEYWORDS_PER_PHONE_NUMBER"


def test_opt_out_list_in_use_cannot_be_deleted(server: TelecomServer, sms: Any) -> None:
    arn = sms.create_opt_out_list(OptOutListName="mine")["OptOutListArn"]
    number = request(sms, OptOutListName=arn)["PhoneNumberId"]
    assert conflict(sms.delete_opt_out_list, OptOutListName="mine") == "RESOURCE_NOT_EMPTY"
    assert conflict(sms.create_opt_out_list, OptOutListName="mine") == "RESOURCE_ALREADY_EXISTS"
    sms.release_phone_number(PhoneNumberId=number)
    sms.delete_opt_out_list(OptOutListName="mine")
    assert [one["OptOutListName"] for one in sms.describe_opt_out_lists()["OptOutLists"]] == ["Default"]
    server.configure(opt_out_lists=1)
    assert quota(sms.create_opt_out_list, OptOutListName="more") == "OPT_OUT_LISTS_PER_ACCOUNT"


def test_registrations_are_described_by_id_and_status(server: TelecomServer, sms: Any) -> None:
    created = sms.create_registration(RegistrationType="A")["RegistrationId"]
    server.configure(registration_status="CREATED", registrations=2)
    sms.create_registration(RegistrationType="B")
    complete = [{"Name": "registration-status", "Values": ["COMPLETE"]}]
    (found,) = sms.describe_registrations(Filters=complete)["Registrations"]
    assert found["RegistrationId"] == created
    assert error_of(sms.describe_registrations, RegistrationIds=["no"])["ResourceType"] == "registration"
    assert quota(sms.create_registration, RegistrationType="C") == "REGISTRATIONS_PER_ACCOUNT"


def test_account_limits_count_use(sms: Any) -> None:
    request(sms)
    limits = {one["Name"]: (one["Used"], one["Max"]) for one in sms.describe_account_limits()["AccountLimits"]}
    assert (limits["PHONE_NUMBERS"], limits["SENDER_IDS"], limits["OPT_OUT_LISTS"]) == ((1, 25), (0, 200), (1, 25))


def test_tags_are_visible_after_lag(server: TelecomServer, sms: Any) -> None:
    arn = request(sms, Tags=[{"Key": "a", "Value": "1"}])["PhoneNumberArn"]
    server.configure(tags_lag_seconds=10)
    sms.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    sms.untag_resource(ResourceArn=arn, TagKeys=["b", "unknown"])
    assert sms.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "1"}]
    server.clock.advance(10)
    assert sms.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "2"}]
    many = [{"Key": f"k{index}", "Value": ""} for index in range(200)]
    assert quota(sms.tag_resource, ResourceArn=arn, Tags=many) == "TAGS_PER_RESOURCE"
    assert error_of(sms.list_tags_for_resource, ResourceArn=f"{arn}0")["Code"] == "ResourceNotFoundException"
