namespace OciRegistry.Conformance;

/// <summary>How one check ended; a null <paramref name="Failure"/> is a pass.</summary>
internal sealed record Outcome(Area Area, Check Check, TimeSpan Duration, CheckFailedException? Failure)
{
    public bool Passed => Failure is null;

    /// <summary>Broken, and binding: decides the exit code.</summary>
    public bool Failed => !Passed && Check.Level != Level.May;

    /// <summary>Optional, and not done: shown, but not counted.</summary>
    public bool Declined => !Passed && Check.Level == Level.May;
}
