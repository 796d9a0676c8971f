namespace OciRegistry.Conformance.Areas;

/// <summary>Rules that no single request proves. They are held against every answer of the run, so this comes last.</summary>
internal static class EveryAnswerArea
{
    public static Area Area { get; } = new Area("EveryAnswer")
        .Must("errors: " + AnswerRules.Envelope, repository => repository.Registry.Rules.HoldAsync(AnswerRules.Envelope))
        .Should("errors: " + AnswerRules.KnownCode, repository => repository.Registry.Rules.HoldAsync(AnswerRules.KnownCode))
        .Should("errors: " + AnswerRules.NoServerError, repository => repository.Registry.Rules.HoldAsync(AnswerRules.NoServerError))
        .Should("errors: " + AnswerRules.RetryAfter, repository => repository.Registry.Rules.HoldAsync(AnswerRules.RetryAfter))
        .Must("errors: " + AnswerRules.Challenge, repository => repository.Registry.Rules.HoldAsync(AnswerRules.Challenge))
        .Must("warnings: " + AnswerRules.Warning, repository => repository.Registry.Rules.HoldAsync(AnswerRules.Warning))
        .Must("general: " + AnswerRules.NoBody, repository => repository.Registry.Rules.HoldAsync(AnswerRules.NoBody));
}
