namespace OciRegistry.Conformance.Areas;

/// <summary>Rules that no single request proves: held against every answer of the run, so this comes last.</summary>
internal static class EveryAnswerArea
{
    public static Area Area { get; } = new Area("EveryAnswer")
        .Must("errors: " + AnswerRules.Envelope, Hold(AnswerRules.Envelope))
        .Must("errors: " + AnswerRules.KnownCode, repository => repository.Registry.Rules.HoldCodesAsync())
        .Should("errors: " + AnswerRules.NoServerError, Hold(AnswerRules.NoServerError))
        .Should("errors: " + AnswerRules.RetryAfter, Hold(AnswerRules.RetryAfter))
        .Must("errors: " + AnswerRules.Challenge, Hold(AnswerRules.Challenge))
        .Must("warnings: " + AnswerRules.Warning, Hold(AnswerRules.Warning))
        .Must("general: " + AnswerRules.NoBody, Hold(AnswerRules.NoBody));

    private static Func<Repository, Task> Hold(string rule) => repository => repository.Registry.Rules.HoldAsync(rule);
}
