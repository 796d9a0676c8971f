namespace OciRegistry.Tests.Faults;

/// <summary>What fails a PATCH for a while: of 300,000 bytes, on a session that has acknowledged 100,000.</summary>
internal static class TransientFailures
{
    /// <summary>By name: what to plan, and the status that the PATCH is answered with.</summary>
    public static IReadOnlyDictionary<string, (Action<FaultPlan> Plan, int Status)> All { get; } = new Dictionary<string, (Action<FaultPlan> Plan, int Status)>
    {
        ["the session cannot be read"] = (plan => plan.Fail(StoreCall.DocumentRead), 503),
        ["the writer cannot be recorded"] = (plan => plan.Fail(StoreCall.DocumentWrite), 503),
        ["the writer was recorded, but the store says no"] =
            (plan => plan.Fail(StoreCall.DocumentWrite, afterEffect: true), 503),
        ["the staged bytes cannot be opened"] = (plan => plan.Fail(StoreCall.StagedOpen), 503),
        ["the staged bytes were opened, but the store says no"] =
            (plan => plan.Fail(StoreCall.StagedOpen, afterEffect: true), 503),
        ["an append fails"] = (plan => plan.Fail(StoreCall.StagedAppend), 503),
        ["an append fails after a while"] = (plan => plan.Fail(StoreCall.StagedAppend, nth: 3), 503),
        ["an append is torn"] = (plan => plan.TearsAppend = true, 503),
        ["an append finds the disk full"] = (plan => plan.Fail(StoreCall.StagedAppend, FaultPlan.Full, nth: 2), 507),
        ["an append fails as nobody expects"] =
            (plan => plan.Fail(StoreCall.StagedAppend, () => new InvalidOperationException("a bug"), nth: 2), 503),
        ["the end cannot be recorded"] = (plan => plan.Fail(StoreCall.DocumentWrite, nth: 2), 503),
        ["the end was recorded, but the store says no"] =
            (plan => plan.Fail(StoreCall.DocumentWrite, nth: 2, afterEffect: true), 503),
        ["an append fails, and so does the record of it"] = (plan =>
        {
            plan.Fail(StoreCall.StagedAppend, nth: 2);
            plan.Fail(StoreCall.DocumentWrite, nth: 2);
        }, 503),
    };
}
