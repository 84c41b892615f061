//! The macros that walk a list or the keys of a map. `all` and `exists` are chains of `&&` and `||` over the elements; the
//! others build a result, which is missing or failed as soon as one element makes it so.

use super::ast::FoldKind;
use super::evaluate::{Evaluated, Evaluator, Stop, decides, either};
use super::node::{FoldNode, Node};
use super::value::Value;

impl Evaluator<'_> {
    pub(super) fn fold(&mut self, fold: &FoldNode) -> Evaluated {
        let elements: Vec<Value> = match self.evaluate(&fold.range)? {
            Value::List(list) => {
                self.spend(list.len() as u64)?;
                list.to_vec()
            }
            Value::Map(map) => {
                self.spend(map.len() as u64)?;
                map.keys().map(super::value::Key::to_value).collect()
            }
            other => return Err(Stop::Failed(format!("{} cannot be walked", other.type_name()))),
        };
        match (fold.kind, &fold.condition) {
            (FoldKind::All, Some(condition)) => self.quantify(elements, condition, false),
            (FoldKind::Exists, Some(condition)) => self.quantify(elements, condition, true),
            (FoldKind::All | FoldKind::Exists, None) => Err(Stop::Failed("a macro has no condition".to_owned())),
            (FoldKind::ExistsOne, condition) => {
                let chosen = self.collect(elements, condition.as_ref(), None)?;
                Ok(Value::Bool(chosen.len() == 1))
            }
            (FoldKind::Filter | FoldKind::Map, condition) => {
                self.collect(elements, condition.as_ref(), fold.transform.as_ref()).map(Value::list)
            }
        }
    }

    fn quantify(&mut self, elements: Vec<Value>, condition: &Node, settles: bool) -> Evaluated {
        let mut undecided = Ok(Value::Bool(!settles));
        for element in elements {
            self.locals.push(element);
            let next = self.evaluate(condition);
            self.locals.pop();
            undecided = either(undecided, next, settles);
            if decides(&undecided, settles) {
                break;
            }
        }
        undecided
    }

    /// The elements for which the condition holds, or what they become.
    fn collect(
        &mut self,
        elements: Vec<Value>,
        condition: Option<&Node>,
        transform: Option<&Node>,
    ) -> Result<Vec<Value>, Stop> {
        let mut collected = Vec::new();
        for element in elements {
            self.locals.push(element);
            let step = self.collect_one(condition, transform);
            let element = self.locals.pop();
            match step? {
                Some(transformed) => collected.push(transformed),
                None => continue,
            }
            drop(element);
        }
        Ok(collected)
    }

    fn collect_one(&mut self, condition: Option<&Node>, transform: Option<&Node>) -> Result<Option<Value>, Stop> {
        if let Some(condition) = condition
            && !self.condition(condition)?
        {
            return Ok(None);
        }
        match transform {
            Some(transform) => self.evaluate(transform).map(Some),
            None => Ok(self.locals.last().cloned()),
        }
    }
}
