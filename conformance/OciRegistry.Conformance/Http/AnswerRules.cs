using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace OciRegistry.Conformance.Http;

/// <summary>What holds for every answer, whatever was asked: kept while the areas run, reported at the end.</summary>
internal sealed partial class AnswerRules
{
    public const string Envelope = "a 4xx with a JSON body has the envelope of the spec, and codes of its form";
    public const string KnownCode = "an error code is one of the spec's list";
    public const string NoServerError = "no request, however odd, is answered with a 5xx";
    public const string RetryAfter = "a 429 says when to come back";
    public const string Challenge = "a 401 carries WWW-Authenticate";
    public const string Warning = "a Warning is 299 - \"text\" without a date, and 4096 bytes at most";
    public const string NoBody = "an answer to HEAD has no body";

    private static readonly HashSet<string> SpecCodes =
    [
        "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED",
        "DENIED", "UNSUPPORTED", "TOOMANYREQUESTS",
    ];

    // The first answer that broke a rule stands for all: one example is enough to find the cause.
    private readonly ConcurrentDictionary<string, CheckFailedException> _broken = new();

    private readonly ConcurrentDictionary<string, Answer> _unknownCodes = new();

    public void Observe(Answer answer)
    {
        Hold(answer, NoServerError, answer.Status < 500, "a status below 500");
        Hold(answer, RetryAfter, answer.Status != 429 || answer.All("Retry-After").Any(), "Retry-After");
        Hold(answer, Challenge, answer.Status != 401 || answer.All("WWW-Authenticate").Any(), "WWW-Authenticate");
        Hold(answer, NoBody, answer.Request.Method != "HEAD" || answer.Body.Length == 0, "no body");
        Hold(answer, Warning, answer.All("Warning").All(IsWarning) && answer.All("Warning").Sum(w => w.Length) <= 4096,
            "Warning: 299 - \"text\"");
        if (answer.Status is >= 400 and < 500 && IsJson(answer))
        {
            var codes = answer.ErrorCodes();
            Hold(answer, Envelope, codes.Count > 0 && codes.All(code => Code().IsMatch(code)),
                "{\"errors\":[{\"code\":\"…\"}]} with codes of [A-Z_]+");
            foreach (var code in codes.Where(code => !SpecCodes.Contains(code)))
            {
                _unknownCodes.TryAdd(code, answer);
            }
        }
    }

    public Task HoldAsync(string rule) =>
        _broken.TryGetValue(rule, out var broken) ? Task.FromException(broken) : Task.CompletedTask;

    /// <summary>All of them at once, and one answer as the example.</summary>
    public Task HoldCodesAsync()
    {
        if (_unknownCodes.IsEmpty)
        {
            return Task.CompletedTask;
        }

        var codes = string.Join(", ", _unknownCodes.Keys.Order());
        var example = _unknownCodes.Values.First();
        return Task.FromException(example.Failure($"none but codes of the spec's list; not {codes}"));
    }

    private void Hold(Answer answer, string rule, bool holds, string expected)
    {
        if (!holds)
        {
            _broken.TryAdd(rule, answer.Failure(expected));
        }
    }

    private static bool IsWarning(string value) => WarningText().IsMatch(value);

    private static bool IsJson(Answer answer)
    {
        try
        {
            return answer.Body.Length > 0 && JsonNode.Parse(answer.Body) is not null;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    [GeneratedRegex("^[A-Z_]+$")]
    private static partial Regex Code();

    [GeneratedRegex("^299 - \"([^\"\\\\]|\\\\.)*\"$")]
    private static partial Regex WarningText();
}
