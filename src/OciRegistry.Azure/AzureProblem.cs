using System.Globalization;
using System.Net;
using Azure;
using Azure.Identity;
using Azure.Storage.Blobs.Models;

namespace OciRegistry.Azure;

/// <summary>What a failed call says about the storage, and what to do about it.</summary>
internal static class AzureProblem
{
    /// <summary>Whether it is a failure that the storage or the way to it can cause; everything else is ours.</summary>
    public static bool IsOne(Exception exception) => exception
        is RequestFailedException
        or AuthenticationFailedException // no token to be had
        or HttpRequestException or IOException or TimeoutException
        or OperationCanceledException    // an attempt that took too long, as some layers report it
        or AggregateException
        || IsForeign(exception);

    /// <summary>Whether it may help to try again.</summary>
    public static bool IsPassing(Exception exception) => exception switch
    {
        RequestFailedException { ErrorCode: "ContainerBeingDeleted" or "AccountBeingCreated" } => true,
        RequestFailedException failed => failed.Status is 0 or 408 or 429 or >= 500 && failed.Status != 501,
        AuthenticationFailedException and not CredentialUnavailableException => true,
        HttpRequestException or IOException or TimeoutException or OperationCanceledException or AggregateException => true,
        _ => false,
    };

    /// <summary>Whether the credentials or their rights do not allow the call: that lasts until the operator changes them.</summary>
    public static bool IsAccessDenied(Exception exception) =>
        exception is CredentialUnavailableException or RequestFailedException { Status: 401 or 403 };

    /// <summary>How long the storage has asked to be left alone.</summary>
    public static TimeSpan? RetryAfter(Exception exception) =>
        exception is RequestFailedException failed
        && failed.GetRawResponse()?.Headers.TryGetValue("Retry-After", out var text) == true
        && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
            ? TimeSpan.FromSeconds(seconds)
            : null;

    /// <summary>There is no such blob, but there is the container that it would be in.</summary>
    public static bool IsMissing(RequestFailedException exception) =>
        exception.Status == (int)HttpStatusCode.NotFound && !IsContainerGone(exception) && IsFromBlobService(exception);

    /// <summary>A condition of the call did not hold.</summary>
    public static bool IsRefused(RequestFailedException exception) =>
        exception.Status is (int)HttpStatusCode.PreconditionFailed or (int)HttpStatusCode.Conflict
        && (exception.ErrorCode == BlobErrorCode.BlobAlreadyExists
            || exception.ErrorCode == BlobErrorCode.ConditionNotMet
            || exception.ErrorCode == "UnmodifiedSinceConditionNotMet"
            || exception.ErrorCode == BlobErrorCode.TargetConditionNotMet);

    /// <summary>A sentence on the failure and one on the remedy; neither a key nor a SAS is in it.</summary>
    public static string Describe(Exception exception, string address)
    {
        switch (exception)
        {
            case RequestFailedException failed when failed.Status != 0:
                return Describe(failed, address);
            case CredentialUnavailableException:
                return $"{address} needs an identity, and this machine has none that may be used: {FirstLine(exception)} Give it a "
                    + "workload or managed identity, or set Storage:AzureBlobs:ConnectionString.";
            case AuthenticationFailedException:
                return $"No token for {address} is to be had: {FirstLine(exception)} Check the identity that this machine has.";
            case var foreign when IsForeign(foreign):
                return NoBlobService(address);
            default:
                return $"{address} cannot be reached: {Reason(exception)}. Check that it is up, the address, and the network in "
                    + "between.";
        }
    }

    private static string Describe(RequestFailedException failed, string address) => (failed.Status, failed.ErrorCode) switch
    {
        _ when !IsFromBlobService(failed) => NoBlobService(address),
        (401 or 403, _) =>
            $"{address} refuses the registry ({failed.ErrorCode}{Skew(failed)}). Check the key, or the SAS and until when it is good, "
            + "and this machine's clock. The registry must read, write, delete and list, from this network: an identity needs the "
            + "role Storage Blob Data Contributor.",
        (404, _) when IsContainerGone(failed) =>
            $"The container {address} is missing. Create it, or correct Storage:AzureBlobs:Container.",
        (409, "InvalidBlobType") =>
            $"{address} has a blob of another kind where the registry stores. Give the registry a container, or a "
            + "Storage:AzureBlobs:Prefix, of its own.",
        (429 or 503, _) => $"{address} is throttled ({failed.ErrorCode}). Spread the load, or raise the account's limits.",
        _ => $"{address} answered {failed.Status} {failed.ErrorCode}. Look at the health of the storage account.",
    };

    private static string NoBlobService(string address) =>
        $"What answers at {address} is no blob service. Correct Storage:AzureBlobs:ServiceUri.";

    private static bool IsContainerGone(RequestFailedException exception) =>
        exception.ErrorCode == BlobErrorCode.ContainerNotFound || exception.ErrorCode == BlobErrorCode.ContainerDisabled;

    // HEAD has no body that could say more, so the header must.
    private static bool IsFromBlobService(RequestFailedException exception) =>
        exception.ErrorCode is { Length: > 0 }
        || exception.GetRawResponse()?.Headers.Any(header => header.Name.StartsWith("x-ms-", StringComparison.OrdinalIgnoreCase)) != false;

    /// <summary>An answer, but not what a blob service answers: the client library stumbles over it.</summary>
    private static bool IsForeign(Exception exception) => exception
        is System.Xml.XmlException or System.Text.Json.JsonException or KeyNotFoundException or FormatException;

    private static string Skew(RequestFailedException failed) =>
        failed.GetRawResponse()?.Headers.Date is { } theirs && (theirs - DateTimeOffset.UtcNow).Duration() > TimeSpan.FromMinutes(5)
            ? $"; its clock says {theirs.UtcDateTime:yyyy-MM-ddTHH:mm:ssZ}"
            : "";

    private static string Reason(Exception exception)
    {
        var innermost = exception is AggregateException { InnerExceptions: [.., var last] } ? last : exception;
        while (innermost is not TimeoutException && innermost.InnerException is { } inner)
        {
            innermost = inner;
        }

        return FirstLine(innermost).TrimEnd('.');
    }

    private static string FirstLine(Exception exception) => exception.Message.Split('\n')[0].TrimEnd('\r', ' ');
}
